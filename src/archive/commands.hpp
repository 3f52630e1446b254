#pragma once

#include <refrain/archive/archive_file.hpp>
#include <refrain/archive/options.hpp>
#include <refrain/base/error.hpp>

#include <cstdint>
#include <filesystem>
#include <string>

namespace refrain::archive {

/// The commands of refrain-archive. @throws Error
Exit create(Options const& options);
/// @returns failure unless all archives are sound; problems are printed one a line
Exit verify(Options const& options);
Exit list(Options const& options);
Exit restore(Options const& options);
/// @returns failure if the runs differ
Exit diff(Options const& options);

/// @throws Error unless that many bytes are free where `path` will stand
void require_space(std::filesystem::path const& path, int64_t bytes, std::string const& what);

}  // namespace refrain::archive

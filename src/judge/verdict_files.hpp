#pragma once

#include <refrain/base/provenance.hpp>
#include <refrain/judge/merge.hpp>

#include <filesystem>
#include <vector>

namespace refrain::judge {

/// A file of verdicts as `merge` takes it. @throws Error
VerdictsOf read_file(std::filesystem::path const& path);

/// @throws Error; nothing is left then
void write_verdicts(std::filesystem::path const& out, h5::Verdicts const& verdicts, Json const& provenance);

/// Adds what verdict files say of their making to the provenance of a file made from them: each judge's settings
/// (`judges`), and of the answers the digest (`responses_sha256`) and the provenance (`responses`). @throws Error
void inherit(Provenance& provenance, std::vector<std::filesystem::path> const& files);

}  // namespace refrain::judge

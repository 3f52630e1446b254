#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/base/process.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace refrain::lock_file {

/// Who wrote a lock file.
struct Holder {
  std::string token;  ///< unlike every other holder's, of any time
  ProcessId process;
  std::string job, since;              ///< Slurm's id or empty, time of day
  int64_t inode = 0, modified_ns = 0;  ///< of the file that was read; the heartbeat changes modified_ns
  double age = 0;                      ///< seconds since the heartbeat, by this host's clock

  static Holder myself();
  Json json() const;
  std::string description() const;  ///< "process 12 on n1, Slurm job 345, since 2026-01-31T12:00:00Z"
};

/// Empty if there is no file. A file that holds no JSON (its writer died in between) gives a Holder without a process.
std::optional<Holder> read(std::filesystem::path const& path);

/// Creates `path` for `me`, whole or not at all. Returns false if it exists. @throws Error
bool create(std::filesystem::path const& path, Holder const& me);

/// Replaces what stands at `path`. @throws Error
void replace(std::filesystem::path const& path, Holder const& me);

}  // namespace refrain::lock_file

#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace refrain {

/// A lock on a folder or file that works where flock does not (it fails on some parallel file systems and is local to a
/// node on others): `path` is created exclusively and holds host, process, job id and a heartbeat that a thread renews.
/// A lock whose heartbeat is old, or whose process is gone from this host, is taken over by rename.
class FolderLock {
public:
  /// @throws Error naming the holder (host, process, Slurm job, since when) if somebody else holds it
  static FolderLock acquire(std::filesystem::path const& path);
  /// Waits while somebody else holds it. @throws Error after `seconds`
  static FolderLock wait(std::filesystem::path const& path, double seconds);
  FolderLock(FolderLock&&) noexcept;
  FolderLock& operator=(FolderLock&&) noexcept;
  ~FolderLock();  ///< releases

private:
  struct State;
  explicit FolderLock(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace refrain

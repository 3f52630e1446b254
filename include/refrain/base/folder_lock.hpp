#pragma once

#include <refrain/base/process.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace refrain {

/// A lock on a folder or file that works where flock does not (it fails on some parallel file systems and is local to a
/// node on others): `path` is created exclusively and holds host, process, job id and a heartbeat that a thread renews.
/// A lock whose heartbeat stopped, or whose process is gone from this host, is taken over by rename.
class FolderLock {
public:
  /// Refuses within milliseconds where the holder lives on this host. A holder on another host is watched until its
  /// heartbeat shows (seconds) or has been missed for long (half a minute), since clocks of hosts differ.
  /// @throws Error naming the holder (host, process, Slurm job, since when) if somebody else holds it
  static FolderLock acquire(std::filesystem::path const& path);
  /// The same, where somebody else's lock is no failure: none then, and `holder` describes who has it.
  static std::optional<FolderLock> try_acquire(std::filesystem::path const& path, std::string& holder);
  /// Waits while somebody else holds it. @throws Error after `seconds`
  static FolderLock wait(std::filesystem::path const& path, double seconds);
  FolderLock(FolderLock&&) noexcept;
  FolderLock& operator=(FolderLock&&) noexcept;
  ~FolderLock();  ///< releases

  /// Reads the lock file; for use before anything is committed.
  /// @throws Error if somebody else took the lock (this process was stopped for long) or removed it
  void require_held() const;

private:
  struct State;
  explicit FolderLock(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A lock as others see it who do not want it.
struct LockSight {
  std::string holder;         ///< "process 12 on n1, Slurm job 345, since 2026-01-31T12:00:00Z"
  std::string job;            ///< Slurm's id, or empty
  Life life = Life::unknown;  ///< of the holder's process: known on its own host only
  double age = 0;             ///< seconds since the heartbeat, by this host's clock

  /// Whether somebody is at work behind it. A glance, not a watch: where only the heartbeat can tell, it may be two
  /// minutes old, since clocks of hosts differ.
  bool is_held() const { return life == Life::alive || (life == Life::unknown && age < 120); }
};

/// Nothing where there is no lock. Changes nothing. @throws Error if it cannot be read
std::optional<LockSight> look_at_lock(std::filesystem::path const& path);

/// Who holds the lock, as LockSight::holder; empty if nobody does. Watches a holder as long as `acquire` and, unlike
/// it, changes nothing: whoever wants the lock meanwhile finds it free. @throws Error if it cannot be read
std::string watch_lock(std::filesystem::path const& path);

}  // namespace refrain

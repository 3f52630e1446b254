#pragma once

#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <string>

namespace refrain {

/// A process, told apart from every other of any time: a pid alone is used again, and two containers on one host each
/// have a process 1.
struct ProcessId {
  std::string host;     ///< for people
  std::string machine;  ///< boot id and PID namespace
  int64_t pid = 0;
  int64_t start = 0;  ///< clock ticks after boot

  static ProcessId myself();
  static ProcessId from_json(Json const& json);  ///< of `json()`. @throws Json::exception
  Json json() const;
};

/// Whether a process still runs.
enum class Life { alive, dead, unknown };

/// What this host can tell: `unknown` for a process elsewhere. One that ended and was not yet collected is dead; one
/// that was stopped is alive.
Life process_life(ProcessId const& process);

}  // namespace refrain

#pragma once

#include <refrain/study/options.hpp>

#include <string>
#include <vector>

namespace refrain::study {

enum class Health { ok, warning, broken };

/// What one look found.
struct Finding {
  Health health = Health::ok;
  std::string subject;  ///< what was looked at: a variable, a program, a setting
  std::string found;    ///< in one line
  std::string remedy;   ///< what to change; empty where nothing is to be

  /// "broken   REFRAIN_RUNS: no file can be renamed ... (put it on another file system)"
  std::string line() const;
};
using Findings = std::vector<Finding>;

/// Prints a line for everything that jobs here depend on.
/// @returns failure if anything is broken, else success. @throws UsageError as the settings do
Exit run_doctor(Options const& options);

}  // namespace refrain::study

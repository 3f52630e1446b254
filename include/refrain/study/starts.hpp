#pragma once

#include <refrain/base/json_file.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace refrain::study {

/// How one start of a program ended.
enum class Ending { finished, stopped_early, failed };

/// The record of how often a piece of work was started and how far it came: WORK.starts.jsonl, a line for every start.
class Starts {
public:
  /// @param work the run folder or the output file, which need not be there yet
  explicit Starts(std::filesystem::path const& work) : path_(work.string() + ".starts.jsonl") {}

  /// Appends a line. `job` is Slurm's id or empty, `command` the line that was started; `reached` an object of whole
  /// numbers that grow with the work, such as {"step": 12}. @throws Error
  void record(std::string const& job, std::string const& command, int exit_code, Ending ending,
              Json const& reached) const;

  /// Whether the last two starts both stopped early and the second came no further: a third would do no better.
  bool stands_still() const;

  /// Whether the last start failed.
  bool failed_last() const;

private:
  std::vector<Json> lines() const;

  std::filesystem::path path_;
};

}  // namespace refrain::study

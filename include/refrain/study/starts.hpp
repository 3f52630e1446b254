#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/study/words.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace refrain::study {

/// How one start of a program ended.
enum class Ending {
  finished,
  stopped_early,  ///< told to, with work left
  lost,           ///< a node, a rank, or the study itself went, with work left
  failed,         ///< nobody starts it again unless told to
};

/// The record of how often a piece of work was started and how far it came: WORK.starts.jsonl, a line for every start
/// that has ended. While one runs, WORK.start.json says who it is.
class Starts {
public:
  /// @param work the run folder or the output file, which need not be there yet
  explicit Starts(std::filesystem::path const& work)
      : path_(work.string() + ".starts.jsonl"), running_(work.string() + ".start.json") {}

  /// The host on which the last start of this job was killed, its study with it, before it could record its end; empty
  /// if it was not. `job` is Slurm's id; without one nobody is known. @throws Error
  std::string killed_on(std::string const& job) const;

  /// Appends the line of that start. @throws Error
  void record_killed(Ending ending, Json const& reached) const;

  /// Says that a start begins. `job` is Slurm's id or empty, `command` the line that is started. @throws Error
  void begin(std::string const& job, std::string const& command) const;

  /// Appends the line of the start that `begin` began. `reached` is an object of whole numbers that grow with the work,
  /// such as {"step": 12}; `error` says in one line why the start was lost or has failed. @throws Error
  void record(std::string const& job, std::string const& command, int exit_code, Ending ending, Json const& reached,
              std::string const& error = {}) const;

  /// Whether one more start that ends at `reached`, with work left, is the third restart in a row that came no further
  /// than the start before them: another would do no better. @throws Error
  bool stands_still(Json const& reached) const;

  /// What the last start that finished gave `program` ("refrain-train"): its options. None where none has finished, and
  /// where nothing is on record. @throws Error for a line without its command
  Words finished_with(std::string const& program) const;

  /// Whether the last start failed.
  bool failed_last() const;
  /// Why it did, in one line; empty if it did not, or nobody said why.
  std::string last_failure() const;

private:
  void append(Json line, Ending ending, Json const& reached) const;

  std::vector<Json> lines() const;

  std::filesystem::path path_, running_;
};

}  // namespace refrain::study

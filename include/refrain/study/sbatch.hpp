#pragma once

#include <refrain/study/process.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::study {

/// @throws Error where there is no sbatch: before anything is made for what would be submitted
void require_sbatch();

/// One call of sbatch. Fields left empty are not written, so that the script's own directives hold.
struct Sbatch {
  std::filesystem::path script;    ///< slurm/NAME.sh, as jobs will be told of it
  std::string array;               ///< "0,2-5%2", as format_array writes it
  Words dependencies;              ///< "afterok:12:13", ...: all of them must hold
  std::string job_name;            ///< else the script's
  Words options;                   ///< further ones, such as --nodes=8
  Variables variables;             ///< exported to the job besides the submitting shell's own
  std::filesystem::path folder{};  ///< the job begins here, and its logs are here; else where sbatch is called

  /// sbatch and its arguments. With --parsable it prints the job's id alone. A dependency that can no longer hold ends
  /// the job, which else would wait for ever.
  Words line() const;
  /// What the queue calls the job.
  std::string name() const { return job_name.empty() ? script.stem().string() : job_name; }
  /// The line as a person would type it: variables first.
  std::string show() const;
  /// Submits. Variables that Slurm set for this process, if it runs in a job, do not reach the new job.
  /// @returns the job's id, of an array that of the whole
  /// @throws Error as require_sbatch; with what sbatch said and the line, if it refuses or prints no id
  std::string submit() const;
};

/// Asks sbatch, which submits nothing, whether it takes these options; where there is no sbatch, or one that does not
/// answer, nobody is asked. @throws Error with what it said
void check_sbatch_options(Words const& options);

/// The options that the #SBATCH lines of a script give. @throws Error if it cannot be read
Words directives(std::filesystem::path const& script);

/// Indices as --array takes them: {0, 2, 3, 4} -> "0,2-4"; `at_once` above 0 adds "%at_once" where there are more.
/// @pre `indices` ascend and are not empty
std::string format_array(std::vector<int64_t> const& indices, int64_t at_once = 0);

/// The job's id in what `sbatch --parsable` printed, "ID" or "ID;CLUSTER" among lines of the site's plugins; empty if
/// there is none.
std::string parse_job_id(std::string const& text);

}  // namespace refrain::study

#pragma once

#include <refrain/base/folder_lock.hpp>
#include <refrain/study/process.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace refrain::study {

/// One call of sbatch that a study made.
struct StudySubmission {
  std::string job;                 ///< Slurm's id
  std::vector<int64_t> indices{};  ///< of the array; empty for a job that is none
  bool waited = false;             ///< whether it waited for other jobs: Slurm cancels it if one of those fails
  int64_t at_once = 0;             ///< members of the array that run at a time; 0: all
  Variables variables{};           ///< what it was told; none in an older record
  std::string time{};              ///< when; of now if it is empty
};

/// What was submitted of a study: STUDY/study.json, written anew after each sbatch. What waits or runs is known by its
/// name in the queue, so that a job counts of which this says nothing, since `run` was killed behind its sbatch.
class StudyState {
public:
  /// Reads the file if it is there. @throws Error for a damaged one
  explicit StudyState(std::filesystem::path const& folder);

  /// Of a job of the study, in the order of time; empty if there are none.
  std::vector<StudySubmission> const& of(std::string const& job) const;
  /// Keeps it in the file. @throws Error
  void add(std::string const& job, StudySubmission submission);

private:
  std::filesystem::path file_;
  std::vector<std::pair<std::string, std::vector<StudySubmission>>> jobs_;  // in the order of their first submission
};

/// For as long as it lives, no other `run` works on the study. @throws Error that says who does
FolderLock lock_study(std::filesystem::path const& folder);

}  // namespace refrain::study

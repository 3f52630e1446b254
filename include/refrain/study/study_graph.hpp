#pragma once

#include <refrain/study/sbatch.hpp>
#include <refrain/study/study_file.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// What one member of an array makes, or a job that is none.
struct JobPart {
  std::optional<int64_t> index;   ///< in the array
  std::filesystem::path work;     ///< where its results stand and where a failure is looked into
  std::function<bool()> made;     ///< whether what it makes stands on disk
  std::function<void()> check{};  ///< throws Error if that was made with other settings; empty where it is made anew
};

/// One job of a study, or one array of jobs.
struct StudyJob {
  std::string name;  ///< "8b/train/balanced"
  Stage stage;
  std::vector<std::string> needs;  ///< names of the jobs whose results it reads
  std::vector<JobPart> parts;      ///< not empty
  Sbatch call;                     ///< array and dependencies are left to who submits it
  double bytes = 0;                ///< that a part writes at most while it trains

  bool is_array() const { return parts.front().index.has_value(); }
};

/// All jobs of a study, each behind those that it needs:
///
///     MODEL/shard -> MODEL/train/PAIRS -> MODEL/generate/PAIRS --+
///             \----> MODEL/generate/base ------------------------+-> MODEL/judge/GUARD -> MODEL/adjudicate
///                                                                        -> MODEL/report -> archive
///
/// A training array has the sweep's members, its answers' array the same; each guard that asks a model is a job.
/// @throws Error if a script or a model cannot be read
std::vector<StudyJob> make_graph(Study const& study);

/// The name in the queue of a study's job: NAME-TAG.8b.train.balanced. The tag tells apart studies of one name that
/// have other folders.
std::string queue_name(Study const& study, std::string const& job);

/// Where the jobs of a study begin and their logs are.
std::filesystem::path log_folder(Study const& study);

/// REFRAIN_RUNS/NAME.h5, beside the study's folder.
std::filesystem::path archive_file(Study const& study);

}  // namespace refrain::study

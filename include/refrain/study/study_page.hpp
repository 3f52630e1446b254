#pragma once

#include <refrain/study/asking_estimate.hpp>
#include <refrain/study/job_limits.hpp>
#include <refrain/study/study_estimate.hpp>
#include <refrain/study/waves.hpp>

#include <string>
#include <vector>

namespace refrain::study {

/// What `--dry-run` prints: every job with those that it waits for, the line that submits it (a job's name stands for
/// an id that is not known yet), and the planner's figures; then the site's limit and the sums.
std::string dry_run_text(std::vector<StudyJob> const& graph, std::vector<JobStanding> const& standings,
                         Wave const& wave, JobLimits const& limits, std::vector<Estimate> const& training,
                         std::vector<AskingEstimate> const& asking);

/// One line that says which part failed, why as far as it said so itself, and where to look: its log and its folder.
std::string failure_line(StudyJob const& job, FailedPart const& failure);

/// "12 of 30 jobs are made, 3 under way, 15 to come".
std::string summary_line(std::vector<JobStanding> const& standings);

}  // namespace refrain::study

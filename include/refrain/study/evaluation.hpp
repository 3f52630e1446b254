#pragma once

#include <refrain/study/batch_job.hpp>
#include <refrain/study/guards.hpp>
#include <refrain/study/options.hpp>
#include <refrain/study/subjects.hpp>

#include <optional>
#include <string>
#include <vector>

/// What follows training: answers, judges, report. Each is a job of its own, over the models that list_subjects names,
/// and goes on where an earlier start of it was cut off.
namespace refrain::study {

/// What the three subcommands begin with.
struct Evaluation {
  Settings settings;
  BatchJob job;
  std::vector<Subject> subjects;
};

/// Reads the environment; names on the command line replace REFRAIN_STUDY. `command` names the script, and `needed` are
/// the variables it needs besides REFRAIN_MODEL, REFRAIN_RUNS and REFRAIN_STUDY.
/// @throws Error for an unsuitable environment
Evaluation begin_evaluation(Options const& options, std::string const& command, Words needed);

/// Lets one model answer the evaluation prompts, which are sharded once for all. In a job array the index is the model.
/// @throws Error if its training has not finished, for an unsuitable allocation, and if refrain-generate failed
Exit run_generate(Options const& options);

/// Lets every guard judge all models' answers, each guard loaded once, then decides between the guards.
/// @throws Error if answers are missing, for judges and models that do not exist, for an unsuitable allocation, and if
///   refrain-judge failed
Exit run_judge(Options const& options);

/// Makes the report over all models and their training runs.
/// @throws Error if verdicts are missing, for options that the study sets itself, and if refrain-report failed
Exit run_report(Options const& options);

/// One start of refrain-judge.
struct JudgeStart {
  RowsProgram program;
  bool one_rank = false;  ///< a merge, or a server, of which one rank asks several questions at a time
};

/// The starts that judge the answers of `subjects`: every guard over all of them, then the adjudicator, if there is
/// one, for each of them, then the merge for each of them.
/// @throws Error for REFRAIN_JUDGE_ARGS and REFRAIN_ADJUDICATOR_ARGS that set what the study sets
std::vector<JudgeStart> plan_judging(std::vector<Guard> const& guards, std::optional<Guard> const& adjudicator,
                                     std::vector<Subject> const& subjects, Settings const& settings);

/// The refrain-report line over `judged`, the base last, with the training runs of `all`. Its folder is STUDY/report in
/// REFRAIN_RUNS, or report there for several studies. @throws Error for REFRAIN_REPORT_ARGS that set what the study
/// sets
Words report_line(std::vector<Subject> const& all, std::vector<Subject> const& judged, Settings const& settings);

}  // namespace refrain::study

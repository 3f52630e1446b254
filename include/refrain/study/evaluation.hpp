#pragma once

#include <refrain/study/batch_job.hpp>
#include <refrain/study/guards.hpp>
#include <refrain/study/options.hpp>
#include <refrain/study/subjects.hpp>

#include <optional>
#include <string>
#include <vector>

/// Around training: data, answers, judges, report, archive. Each is a job of its own, over the models that
/// list_subjects names, and goes on where an earlier start of it was cut off.
namespace refrain::study {

/// What these subcommands begin with.
struct Evaluation {
  Settings settings;
  BatchJob job;
  std::vector<Subject> subjects;
};

/// Reads the environment; names on the command line replace REFRAIN_STUDY. `command` names the script, and `needed` are
/// the variables it needs besides REFRAIN_MODEL, REFRAIN_RUNS and REFRAIN_STUDY.
/// @throws Error for an unsuitable environment
Evaluation begin_evaluation(Options const& options, std::string const& command, Words needed);

/// Shards the training pairs of every study and the evaluation prompts, which the jobs behind it would do else: so that
/// wrong data show before nodes are waited for.
/// @throws Error for options that the study sets itself, and if refrain-shard failed
Exit run_shard(Options const& options);

/// Lets one model answer the evaluation prompts, which are sharded once for all. In a job array the index is the model.
/// @throws Error if its training has not finished, for an unsuitable allocation, and if refrain-generate failed
Exit run_generate(Options const& options);

/// Lets every guard judge all models' answers, each guard loaded once, then decides between the guards. Where
/// REFRAIN_JUDGE names one of them, it judges alone, and run_adjudicate decides.
/// @throws Error if answers are missing, for judges and models that do not exist, for an unsuitable allocation, and if
///   refrain-judge failed
Exit run_judge(Options const& options);

/// Lets the judges that ask no model judge, and decides between the guards, whose verdicts are there.
/// @throws Error if they are not, and as run_judge
Exit run_adjudicate(Options const& options);

/// Makes the report over all models and their training runs.
/// @throws Error if verdicts are missing, for options that the study sets itself, and if refrain-report failed
Exit run_report(Options const& options);

/// Puts everything under REFRAIN_RUNS into the archive beside it, REFRAIN_RUNS.h5, in place of one that is there.
/// @throws Error if a report of REFRAIN_REPORTS is missing, for options that the study sets itself, and if
///   refrain-archive failed
Exit run_archive(Options const& options);

/// One start of refrain-judge.
struct JudgeStart {
  RowsProgram program;
  bool one_rank = false;  ///< a merge, or a server, of which one rank asks several questions at a time
};

/// The starts that judge the answers of `subjects`: every guard over all of them.
/// @throws Error for REFRAIN_JUDGE_ARGS that set what the study sets
std::vector<JudgeStart> plan_guards(std::vector<Guard> const& guards, std::vector<Subject> const& subjects,
                                    Settings const& settings);

/// What follows the guards: the adjudicator, if there is one, for each of `subjects`, then the merge for each of them.
/// @throws Error for REFRAIN_ADJUDICATOR_ARGS that set what the study sets
std::vector<JudgeStart> plan_deciding(std::vector<Guard> const& guards, std::optional<Guard> const& adjudicator,
                                      std::vector<Subject> const& subjects, Settings const& settings);

/// The refrain-report line over `judged`, the base last, with the training runs of `all`. Its folder is STUDY/report in
/// REFRAIN_RUNS, or report there for several studies. @throws Error for REFRAIN_REPORT_ARGS that set what the study
/// sets
Words report_line(std::vector<Subject> const& all, std::vector<Subject> const& judged, Settings const& settings);

}  // namespace refrain::study

#pragma once

#include <refrain/study/options.hpp>

/// Where to look. Subcommands, each with what belongs to it alone:
///
///     member                                 one training run: pairs.hpp, run_folder.hpp, disk.hpp
///     shard, generate, judge, adjudicate,    what follows training: evaluation.hpp, over the models of subjects.hpp,
///     the report, archive                        prompts of prompts.hpp and the judges of guards.hpp; a source file
///     each submit, rank, prune                    a sweep: sweep.hpp (tables; their keys are train_options.hpp),
///                                            sweep_request.hpp (its members by what has become of them),
///                                            submissions.hpp
///     run                                    a study: study_file.hpp and study_keys.hpp (its file), study_graph.hpp
///     (its
///                                            jobs), study_state.hpp, waves.hpp (what is submitted now), study_page.hpp
///                                            and study_estimate.hpp (what is printed)
///     status                                 run_summary.hpp and run_metrics.hpp (what files tell), status_*.cpp
///     doctor                                 doctor_checks.hpp, doctor_*.cpp
///
/// What they share:
///
///     settings.hpp, configuration.hpp        the REFRAIN_* variables; what names such as dpo_8b_balanced mean
///     words.hpp, process.hpp, launcher.hpp   command lines, started programs, srun or mpirun before them
///     work.hpp, starts.hpp, failure.hpp      a program that is started again until its work is done, and why it ended
///     batch_job.hpp, shared_file.hpp         the same for programs that keep rows; a file that the first job makes for
///     all slurm.hpp, sbatch.hpp, queue.hpp,      this job, a job to be submitted, this user's jobs, how many of them a
///     site job_limits.hpp                         allows
namespace refrain::study {

/// Runs the subcommand that was chosen. @throws Error for an unsuitable environment or allocation, or a failed program
Exit run(Options const& options);

}  // namespace refrain::study

#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/failure.hpp>
#include <refrain/study/process.hpp>
#include <refrain/study/work.hpp>

namespace refrain::study {

namespace {

/// How a start ended.
struct Ended {
  Ending ending = Ending::failed;
  int code = 0;
  Failure failure = {};
  std::string problem = {};  ///< one line for a start that was lost or has failed
};

/// "refrain-train" of its path.
std::string name_of(Words const& program) { return std::filesystem::path(program.front()).filename().string(); }

/// Runs the program's ranks in the allocation. A job that is requeued numbers its steps anew, and Slurm's PMIx starts
/// none on a node that still has the socket of an earlier step of the same number: of one that was lost, or that ended
/// while the controller was away, which the node tells it only once a minute. The next number is free.
Captured run_ranks(Words const& line, Variables const& variables) {
  constexpr int most_tries = 3;
  for (int tries = 1;; ++tries) {
    auto captured = run_listening(line, variables);
    auto const launch = failed_launch(captured.text);
    if (launch.empty()) return captured;
    if (captured.code == 0) captured.code = 1;  // Slurm 22.05's srun was seen to end so
    if (tries == most_tries || stop_requested()) return captured;
    log_warning("srun started no ranks (" + launch + "); starting them again");
  }
}

Ended run(BatchJob const& job, Launcher const& launcher, Work const& work) {
  if (stop_requested()) return {.ending = Ending::stopped_early, .code = static_cast<int>(Exit::stopped_early)};
  log_line(launcher.show(work.line));
  auto const line = launcher.before(work.line);
  // At a desk the program keeps the terminal, and its lines are in sight.
  auto const [code, said] = job.allocation ? run_ranks(line, launcher.variables)
                                           : Captured{.code = run_forwarding(line, launcher.variables), .text = {}};
  if (code == 0) return {.ending = Ending::finished};
  if (work.stopped(code)) return {.ending = Ending::stopped_early, .code = code};
  Ended ended{.code = code, .failure = explain(code, name_of(work.line), said)};
  // Outside Slurm nobody starts it again.
  ended.ending = ended.failure.lost && job.allocation ? Ending::lost : Ending::failed;
  auto const& cause = ended.failure.cause;
  ended.problem = work.what + " ended with " + exit_text(code) + (cause.empty() ? "" : ": " + cause);
  return ended;
}

/// The line that submits this job again, perhaps without a node.
std::string submission(BatchJob const& job, std::string const& node) {
  auto const& index = job.allocation->array_index;
  return "sbatch " + (index ? "--array=" + std::to_string(*index) + " " : "") +
         (node.empty() ? "" : "--exclude=" + node + " ") + job.script;
}

/// What is said once restarts do no good.
Error stands_still(BatchJob const& job, Work const& work, Ended const& ended, Reached const& reached) {
  std::string const what =
      "three restarts in a row have come no further than " + reached.text + ", so the job is not requeued";
  if (ended.ending == Ending::stopped_early)
    return Error(what, "give it more time than start and --signal take: sbatch --time=4:00:00 " + job.script,
                 {.file = work.path});
  auto const& node = ended.failure.node;
  std::string const there = node.empty() ? "its nodes" : node;
  return Error(what + ": " + ended.problem, "look at " + there + "; " + submission(job, node) + " goes on " + work.kept,
               {.file = work.path});
}

Error failed(Work const& work, Ended const& ended) {
  bool const refused = ended.code == static_cast<int>(Exit::usage);
  return Error(ended.problem,
               refused ? "its line above says why" : "its lines are above; the same command goes on " + work.kept,
               {.file = work.path});
}

/// Tells it wherever it is looked for.
[[noreturn]] void give_up(Work const& work, Error const& error) {
  work.tell(Ending::failed, error.problem());
  throw error;
}

/// An earlier start of this job that was killed, its study with it, counts as a restart.
void record_killed(BatchJob const& job, Work const& work, Starts const& starts) {
  auto const host = starts.killed_on(job.id());
  if (host.empty()) return;
  auto const reached = work.reached();
  bool const last = starts.stands_still(reached.numbers);
  starts.record_killed(last ? Ending::failed : Ending::lost, reached.numbers);
  Ended const ended{.ending = Ending::lost,
                    .failure = {.node = host},
                    .problem = work.what + " was killed on " + host + ", or the node was lost"};
  log_warning(ended.problem + "; this start goes on " + work.kept);
  if (last) give_up(work, stands_still(job, work, ended, reached));
}

}  // namespace

Exit perform(BatchJob const& job, Launcher const& launcher, Work const& work) {
  Starts const starts(work.path);
  auto const command = join_words(launcher.before(work.line));
  record_killed(job, work, starts);
  starts.begin(job.id(), command);
  auto const ended = run(job, launcher, work);
  auto const reached = work.reached();
  bool const goes_on = ended.ending == Ending::stopped_early || ended.ending == Ending::lost;
  bool const last = goes_on && job.allocation && starts.stands_still(reached.numbers);
  try {
    starts.record(job.id(), command, ended.code, last ? Ending::failed : ended.ending, reached.numbers, ended.problem);
  } catch (Error const& error) {
    log_warning(error.what());  // a full disk, perhaps, which is what the program says
  }

  if (ended.ending == Ending::finished) return Exit::success;
  if (last) give_up(work, stands_still(job, work, ended, reached));
  if (!goes_on) give_up(work, failed(work, ended));
  if (!job.allocation) {
    log_line("stopped early at " + reached.text + "; the same command goes on from there");
    return Exit::stopped_early;
  }
  if (ended.ending == Ending::lost) {
    log_warning(ended.problem + "; the next start goes on " + work.kept);
    work.tell(Ending::lost, ended.problem);
  }
  try {
    log_line(put_back(*job.allocation, job.script));
  } catch (Error const& error) {
    give_up(work, error);
  }
  return Exit::stopped_early;
}

}  // namespace refrain::study

#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/configuration.hpp>
#include <refrain/study/disk.hpp>
#include <refrain/study/launcher.hpp>
#include <refrain/study/member.hpp>
#include <refrain/study/pairs.hpp>
#include <refrain/study/run_folder.hpp>
#include <refrain/study/sweep.hpp>

#include <filesystem>
#include <iostream>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// Everything that is settled before anything is started.
struct Plan {
  Configuration configuration;
  Settings settings;
  std::optional<Allocation> allocation;
  std::string script;  ///< slurm/NAME.sh, for messages and as a fallback
  SweepMember member;
  fs::path folder;  ///< REFRAIN_RUNS/NAME
  RunFolder run{{}};
};

/// The other jobs' programs stand beside this one.
fs::path program(std::string const& name) {
  return fs::read_symlink("/proc/self/exe").parent_path() / ("refrain-" + name);
}

Plan make_plan(Options const& options, Environment const& environment) {
  Plan plan;
  plan.configuration = find_configuration(options.names.front(), data_file("study/configurations.json"));
  plan.script = "slurm/" + plan.configuration.name + ".sh";
  plan.settings = read_settings(environment);
  if (!options.launcher.empty()) plan.settings.launcher = options.launcher;
  if (!options.sweep.empty()) plan.settings.sweep = options.sweep;
  if (plan.settings.tensor_parallel) plan.configuration.tensor_parallel = *plan.settings.tensor_parallel;
  plan.allocation = read_allocation(environment);

  auto const table = find_sweep(plan.settings.sweep, data_file("slurm/sweeps/default.json").parent_path());
  auto const members = read_sweep(table);
  int64_t const index = options.index ? *options.index : plan.allocation ? plan.allocation->array_index.value_or(0) : 0;
  if (index >= static_cast<int64_t>(members.size()))
    throw UsageError("the sweep has no member " + std::to_string(index) + ", only " + std::to_string(members.size()),
                     "sbatch --array=0-" + std::to_string(members.size() - 1) + " " + plan.script, {.file = table});
  plan.member = members[static_cast<std::size_t>(index)];
  plan.folder = plan.settings.runs / plan.configuration.name;
  plan.run = RunFolder(plan.folder / plan.member.folder());
  log_line(plan.configuration.name + ", member " + std::to_string(index) + " of " + std::to_string(members.size()) +
           ": " + plan.run.path().string());
  return plan;
}

Words train_line(Plan const& plan, fs::path const& pairs) {
  Words const reserved{"--pairs", "--init", "--run-dir", "--tensor-parallel", "--beta", "--learning-rate", "--seed"};
  Words line{program("train").string(),
             "--pairs",
             pairs.string(),
             "--init",
             plan.settings.model.string(),
             "--run-dir",
             plan.run.path().string(),
             "--tensor-parallel",
             std::to_string(plan.configuration.tensor_parallel),
             "--beta",
             format_number(plan.member.beta),
             "--learning-rate",
             format_number(plan.member.learning_rate),
             "--seed",
             std::to_string(plan.member.seed)};
  // All members and configurations compare with the same model: what one of them computed the others find.
  Words defaults = plan.configuration.train_options;
  defaults.insert(defaults.end(), {"--reference-cache", (plan.settings.runs / "reference-cache").string()});
  auto const more = merge_options(defaults, plan.settings.train_args, reserved, "REFRAIN_TRAIN_ARGS");
  line.insert(line.end(), more.begin(), more.end());
  return line;
}

/// The line as a person would type it, variables first.
std::string show(Launcher const& launcher, Words const& line) {
  std::string text;
  for (auto const& [name, value] : launcher.variables) text += name + "=" + value + " ";
  return text + join_words(line);
}

/// Training has stopped with work left: back into the queue, or to the caller.
Exit go_on_later(Plan const& plan) {
  if (!plan.allocation) {
    log_line("stopped early at " + plan.run.advance().text() + "; the same command goes on from there");
    return Exit::stopped_early;
  }
  if (plan.run.stands_still())
    throw Error("two starts in a row have ended at " + plan.run.advance().text() + ", so the job is not requeued",
                "give it more time than start and --signal take: sbatch --time=4:00:00 " + plan.script,
                {.file = plan.run.path()});
  log_line(put_back(*plan.allocation, plan.script));
  return Exit::stopped_early;
}

}  // namespace

Exit run_member(Options const& options) {
  auto const environment = current_environment();
  install_stop_handlers();
  Plan const plan = make_plan(options, environment);
  if (plan.run.finished()) {
    log_line("this member has finished already: " + (plan.run.path() / "final").string());
    return Exit::success;
  }
  if (plan.allocation) check_allocation(*plan.allocation, plan.configuration.tensor_parallel, plan.script);
  check_disk(plan.settings, plan.allocation, environment, plan.script);

  auto const pairs = plan.folder / "pairs.h5";
  auto const shard = shard_line(program("shard"), plan.configuration, plan.settings, pairs);
  auto const train = train_line(plan, pairs);
  auto const launcher =
      choose_launcher(plan.settings.launcher, plan.allocation, plan.configuration.tensor_parallel, program("shard"));
  Words line = launcher.words;
  line.insert(line.end(), train.begin(), train.end());
  if (options.dry_run) {
    std::cout << join_words(shard) << "\n" << show(launcher, line) << "\n";
    return Exit::success;
  }

  prepare_pairs(shard, plan.settings, plan.folder);
  std::string const job = plan.allocation ? plan.allocation->id() : std::string{};
  if (stop_requested()) {
    plan.run.record_start(job, "", static_cast<int>(Exit::stopped_early), Ending::stopped_early);
    return go_on_later(plan);
  }
  log_line(show(launcher, line));
  auto const before = plan.run.status_text();
  int const code = run_forwarding(line, launcher.variables);
  auto const ending = plan.run.classify(code, before);
  plan.run.record_start(job, join_words(line), code, ending);
  switch (ending) {
    case Ending::finished: return Exit::success;
    case Ending::stopped_early: return go_on_later(plan);
    case Ending::failed: break;
  }
  std::string const what = "training ended with exit code " + std::to_string(code) +
                           (code > 128 ? " (signal " + std::to_string(code - 128) + ")" : std::string{});
  plan.run.mark_failed(what);
  throw Error(what, "its lines are above; the same command goes on from the last checkpoint",
              {.file = plan.run.path()});
}

}  // namespace refrain::study

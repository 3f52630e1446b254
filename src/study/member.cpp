#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/configuration.hpp>
#include <refrain/study/disk.hpp>
#include <refrain/study/member.hpp>
#include <refrain/study/pairs.hpp>
#include <refrain/study/program_options.hpp>
#include <refrain/study/run_folder.hpp>
#include <refrain/study/sweep.hpp>
#include <refrain/study/work.hpp>

#include <filesystem>
#include <iostream>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// Everything that is settled before anything is started.
struct Plan {
  Configuration configuration;
  Settings settings;
  BatchJob job;
  std::vector<SweepMember> sweep;
  SweepMember member;  ///< the one of them
  fs::path folder;     ///< REFRAIN_RUNS/NAME
  RunFolder run{{}};
};

Plan make_plan(Options const& options, Environment const& environment) {
  Plan plan;
  plan.configuration = find_configuration(options.names.front());
  plan.job.script = "slurm/" + plan.configuration.name + ".sh";
  plan.settings = read_settings(environment, {"REFRAIN_PAIRS"});
  if (!options.launcher.empty()) plan.settings.launcher = options.launcher;
  if (!options.sweep.empty()) plan.settings.sweep = options.sweep;
  if (plan.settings.tensor_parallel) plan.configuration.tensor_parallel = *plan.settings.tensor_parallel;
  plan.job.allocation = read_allocation(environment);

  auto const table = find_sweep(plan.settings.sweep);
  plan.sweep = read_sweep(table);
  auto const& members = plan.sweep;
  int64_t const index = options.index         ? *options.index
                        : plan.job.allocation ? plan.job.allocation->array_index.value_or(0)
                                              : 0;
  if (index >= static_cast<int64_t>(members.size()))
    throw UsageError("the sweep has no member " + std::to_string(index) + ", only " + std::to_string(members.size()),
                     start_line_up_to({"member", plan.configuration.name}, static_cast<int64_t>(members.size()) - 1),
                     {.file = table});
  plan.member = members[static_cast<std::size_t>(index)];
  plan.folder = plan.settings.runs / plan.configuration.name;
  plan.run = RunFolder(plan.folder / plan.member.folder());
  log_line(plan.configuration.name + ", member " + std::to_string(index) + " of " + std::to_string(members.size()) +
           ": " + plan.run.path().string());
  return plan;
}

/// Whether refrain-train is told to compare with no reference model.
bool is_sft(Words const& options) { return option_values(options, "--loss", "REFRAIN_TRAIN_ARGS") == Words{"sft"}; }

/// How the member is trained.
struct Lines {
  Launcher launcher;
  Words shard, train;
};

/// @throws Error if the job, the disk or the settings do not suit
Lines settle(Plan const& plan, Environment const& environment) {
  auto const& [allocation, script] = plan.job;
  if (allocation) check_allocation(*allocation, plan.configuration.tensor_parallel, script);
  if (auto const limit = disk_limit(plan.settings, plan.configuration, plan.sweep))
    check_disk(*limit, allocation, environment, script);
  auto const pairs = plan.folder / "pairs.h5";
  auto shard = shard_line(program("shard"), plan.configuration, plan.settings, pairs);
  auto train = train_line(plan.configuration, plan.member, plan.settings);
  return {choose_launcher(plan.settings.launcher, allocation, plan.configuration.tensor_parallel, program("shard")),
          std::move(shard), std::move(train)};
}

/// All that comes before training. A job that fails here has no run yet: it tells those who look at the member. At a
/// desk the line is in sight.
Lines prepare(Plan const& plan, Environment const& environment) try {
  auto lines = settle(plan, environment);
  prepare_pairs(lines.shard, plan.settings, plan.folder);
  return lines;
} catch (Error const& error) {
  if (plan.job.allocation)
    plan.run.tell_refused(plan.job.id(), join_words({"refrain-study", "member", plan.configuration.name}), error);
  throw;
}

Work training(Plan const& plan, Words const& line) {
  auto const& run = plan.run;
  auto const before = run.status_text();
  return {.what = "training",
          .line = line,
          .path = run.path(),
          .kept = "from the last checkpoint",
          .reached = [run] { return run.reached(); },
          .stopped = [run, before](int code) { return run.has_stopped(code, before); },
          .tell = [run, before](Ending ending, std::string const& error) { run.tell(ending, error, before); }};
}

}  // namespace

Words train_line(Configuration const& configuration, SweepMember const& member, Settings const& settings) {
  auto const folder = settings.runs / configuration.name;
  Words line{program("train").string(),
             "--pairs",
             (folder / "pairs.h5").string(),
             "--init",
             settings.model.string(),
             "--run-dir",
             (folder / member.folder()).string(),
             "--tensor-parallel",
             std::to_string(configuration.tensor_parallel)};
  auto const swept = member.words();
  line.insert(line.end(), swept.begin(), swept.end());
  Words defaults = configuration.train_options;
  auto const own = merge_options(defaults, swept, {}, "the sweep");
  // All members and configurations compare with the same model: what one of them computed the others find.
  if (!is_sft(merge_options(own, settings.train_args, {}, "REFRAIN_TRAIN_ARGS")))
    defaults.insert(defaults.end(), {"--reference-cache", (settings.runs / reference_cache).string()});
  if (auto const dev = dev_pairs(settings, folder); !dev.empty())
    defaults.insert(defaults.end(), {"--eval-pairs", dev.string()});
  auto const names = swept_options({member});
  auto const more = add_args(without_options(defaults, names, "the configuration"), settings.train_args,
                             {.variable = "REFRAIN_TRAIN_ARGS", .swept = names});
  line.insert(line.end(), more.begin(), more.end());
  return line;
}

Exit run_member(Options const& options) {
  auto const environment = current_environment();
  install_stop_handlers();
  Plan const plan = make_plan(options, environment);
  if (plan.run.finished()) {
    log_line("this member has finished already: " + (plan.run.path() / "final").string());
    return Exit::success;
  }
  if (plan.run.pruned()) {
    log_line("this member has finished, and its weights were dropped: " + (plan.run.path() / "pruned.json").string());
    return Exit::success;
  }
  if (options.dry_run) {
    auto const lines = settle(plan, environment);
    std::cout << join_words(lines.shard) << "\n" << lines.launcher.show(lines.train) << "\n";
    return Exit::success;
  }

  auto const lines = prepare(plan, environment);
  plan.run.wait_for_ranks_of(plan.job.allocation ? plan.job.allocation->job : "");
  return perform(plan.job, lines.launcher, training(plan, lines.train));
}

}  // namespace refrain::study

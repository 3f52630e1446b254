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

Words train_line(Plan const& plan, fs::path const& pairs) {
  Words line{program("train").string(),
             "--pairs",
             pairs.string(),
             "--init",
             plan.settings.model.string(),
             "--run-dir",
             plan.run.path().string(),
             "--tensor-parallel",
             std::to_string(plan.configuration.tensor_parallel)};
  auto const swept = plan.member.words();
  line.insert(line.end(), swept.begin(), swept.end());
  Words defaults = plan.configuration.train_options;
  auto const own = merge_options(defaults, swept, {}, "the sweep");
  // All members and configurations compare with the same model: what one of them computed the others find.
  if (!is_sft(merge_options(own, plan.settings.train_args, {}, "REFRAIN_TRAIN_ARGS")))
    defaults.insert(defaults.end(), {"--reference-cache", (plan.settings.runs / reference_cache).string()});
  if (auto const dev = dev_pairs(plan.settings, plan.folder); !dev.empty())
    defaults.insert(defaults.end(), {"--eval-pairs", dev.string()});
  auto const names = swept_options({plan.member});
  auto const more = add_args(without_options(defaults, names, "the configuration"), plan.settings.train_args,
                             {.variable = "REFRAIN_TRAIN_ARGS", .swept = names});
  line.insert(line.end(), more.begin(), more.end());
  return line;
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
  if (plan.job.allocation) check_allocation(*plan.job.allocation, plan.configuration.tensor_parallel, plan.job.script);
  if (auto const limit = disk_limit(plan.settings, plan.configuration, plan.sweep))
    check_disk(*limit, plan.job.allocation, environment, plan.job.script);

  auto const pairs = plan.folder / "pairs.h5";
  auto const shard = shard_line(program("shard"), plan.configuration, plan.settings, pairs);
  auto const train = train_line(plan, pairs);
  auto const launcher = choose_launcher(plan.settings.launcher, plan.job.allocation, plan.configuration.tensor_parallel,
                                        program("shard"));
  if (options.dry_run) {
    std::cout << join_words(shard) << "\n" << launcher.show(train) << "\n";
    return Exit::success;
  }

  prepare_pairs(shard, plan.settings, plan.folder);
  if (plan.job.allocation) plan.run.wait_for_ranks_of(plan.job.allocation->job);
  return perform(plan.job, launcher, training(plan, train));
}

}  // namespace refrain::study

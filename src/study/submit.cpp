#include <refrain/base/counted.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/base/log.hpp>
#include <refrain/study/configuration.hpp>
#include <refrain/study/disk.hpp>
#include <refrain/study/launcher.hpp>
#include <refrain/study/program_options.hpp>
#include <refrain/study/sbatch.hpp>
#include <refrain/study/submissions.hpp>
#include <refrain/study/submit.hpp>
#include <refrain/study/sweep_request.hpp>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>

namespace refrain::study {

namespace {

std::vector<int64_t> choose(Standing const& standing, Options const& options) {
  auto wanted = standing.failed;
  if (!options.failed) {
    wanted.insert(wanted.end(), standing.open.begin(), standing.open.end());
    std::sort(wanted.begin(), wanted.end());
  }
  return wanted;
}

/// What every one of the jobs would refuse.
void check_jobs(SweepRequest const& sweep) {
  auto const& settings = sweep.settings;
  require_launcher(split_words(settings.launcher, "REFRAIN_LAUNCHER"));
  add_args({}, settings.shard_args, {"REFRAIN_SHARD_ARGS"});
  add_args({}, settings.train_args, {.variable = "REFRAIN_TRAIN_ARGS", .swept = swept_options(sweep.members)});
}

}  // namespace

ArrayPlan plan_array(std::vector<int64_t> const& wanted, int64_t queued, JobLimits const& limits,
                     std::optional<int64_t> at_once) {
  ArrayPlan plan{.indices = wanted};
  if (limits.array_size && wanted.back() >= *limits.array_size)
    throw Error("member " + std::to_string(wanted.back()) + " is above what an array takes here (MaxArraySize " +
                    std::to_string(*limits.array_size) + ")",
                "split the sweep's table");
  if (limits.jobs) {
    int64_t const room = *limits.jobs - queued;
    if (room < 1)
      throw Error("the site lets one user have " + counted(*limits.jobs, "job") + " (" + limits.jobs_from +
                      "), and there are " + std::to_string(queued),
                  "submit again when some have ended");
    if (room < static_cast<int64_t>(wanted.size())) {
      plan.left_out.assign(wanted.begin() + room, wanted.end());
      plan.indices.resize(static_cast<std::size_t>(room));
    }
  }
  if (at_once && *at_once < static_cast<int64_t>(plan.indices.size())) plan.at_once = *at_once;
  return plan;
}

Exit run_submit(Options const& options) {
  if (!options.after.empty() && options.after.find_first_not_of("0123456789_") != std::string::npos)
    throw UsageError("--after is '" + options.after + "', not the id of a job", "give a number as sbatch prints it");
  auto const sweep = read_sweep_request(options, {"REFRAIN_PAIRS"});
  if (!options.dry_run) require_sbatch();
  check_jobs(sweep);
  auto const limit = disk_limit(sweep.settings, find_configuration(sweep.name), sweep.members);
  auto const at_once = limit ? std::optional(limit->members()) : std::nullopt;
  std::optional<FolderLock> lock;
  if (!options.dry_run) {
    make_folders(sweep.folder());
    lock = FolderLock::acquire(sweep.folder() / "submit.lock");
  }
  auto const queue = options.dry_run ? ask_queue_to_print() : ask_queue();
  auto const standing = look_at_members(sweep, queue);
  log_line(describe(sweep, standing));
  auto const wanted = choose(standing, options);
  if (wanted.empty()) {
    if (!standing.held.empty() && !options.failed)
      throw Error("all members of this sweep that have not finished are under way: " + standing.holder +
                      " has member " + std::to_string(standing.held.front()),
                  "wait for it, or scancel it", {.file = sweep.folder()});
    log_line(options.failed ? "no member has failed: nothing to submit"
                            : "all members have finished: nothing to submit");
    return Exit::success;
  }

  auto const plan = plan_array(wanted, static_cast<int64_t>(queue.size()), ask_limits(current_environment()), at_once);
  Sbatch call{.script = std::filesystem::absolute(data_file("slurm/" + sweep.name + ".sh")),
              .array = format_array(plan.indices, plan.at_once),
              .variables = {{"REFRAIN_SWEEP", sweep.table}}};
  if (!options.after.empty()) call.dependencies.push_back("afterok:" + options.after);
  if (!plan.left_out.empty())
    log_line("the site has no room for members " + format_array(plan.left_out) +
             " yet: the same command submits them later");
  if (options.dry_run) {
    std::cout << call.show() << "\n";
    return Exit::success;
  }
  log_line(call.show());
  auto const job = call.submit();
  std::cout << job << "\n" << std::flush;
  Submission record{.job = job, .name = call.name(), .sweep = sweep.table, .line = call.show()};
  for (auto const index : plan.indices) record.members[index] = sweep.members[static_cast<std::size_t>(index)].folder();
  Submissions(sweep.folder()).add(record);
  return Exit::success;
}

}  // namespace refrain::study

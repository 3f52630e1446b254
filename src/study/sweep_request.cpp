#include <refrain/base/error.hpp>
#include <refrain/study/configuration.hpp>
#include <refrain/study/sbatch.hpp>
#include <refrain/study/submissions.hpp>
#include <refrain/study/sweep_request.hpp>

namespace refrain::study {

namespace fs = std::filesystem;

SweepRequest read_sweep_request(Options const& options, Words const& needed) {
  SweepRequest sweep{.name = find_configuration(options.names.front()).name};
  sweep.settings = read_settings(current_environment(), needed);
  sweep.table = options.sweep.empty() ? sweep.settings.sweep : options.sweep;
  auto const file = find_sweep(sweep.table);
  sweep.members = read_sweep(file);
  if (fs::is_regular_file(sweep.table)) sweep.table = fs::absolute(file).string();
  return sweep;
}

Standing look_at_members(SweepRequest const& sweep, Queue const& queue) {
  Submissions const submissions(sweep.folder());
  Standing standing;
  for (std::size_t i = 0; i < sweep.members.size(); ++i) {
    auto const index = static_cast<int64_t>(i);
    auto const run = sweep.run(i);
    auto const job = submissions.job_of(sweep.name, index, sweep.members[i].folder(), queue);
    auto const holder = job.empty() ? run.worker() : "job " + job;
    if (run.finished() || run.pruned()) {
      standing.finished.push_back(index);
    } else if (!holder.empty()) {
      standing.held.push_back(index);
      if (standing.holder.empty()) standing.holder = holder;
    } else {
      (run.failed() ? standing.failed : standing.open).push_back(index);
    }
  }
  return standing;
}

std::string describe(SweepRequest const& sweep, Standing const& standing) {
  std::string text;
  auto const add = [&](std::vector<int64_t> const& indices, std::string const& what) {
    if (!indices.empty()) text += (text.empty() ? "" : ", ") + format_array(indices) + " " + what;
  };
  add(standing.finished, "finished");
  add(standing.held, "under way (" + standing.holder + ")");
  add(standing.failed, "failed");
  add(standing.open, "to be trained");
  return sweep.name + ", sweep " + sweep.table + ": " + text;
}

}  // namespace refrain::study

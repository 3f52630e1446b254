#include <refrain/train/profiler.hpp>

#include <refrain/base/launch.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/table.hpp>
#include <refrain/base/trace.hpp>

#include "formatted.hpp"

namespace refrain::train {
namespace {

std::string table_of_parts(int64_t steps) {
  double all = 0;
  for (auto const& part : trace::part_times()) all += part.seconds;
  std::vector<std::vector<std::string>> rows{{"part", "seconds a step", "share"}};
  auto const add = [&](std::string const& name, double seconds) {
    rows.push_back({name, formatted("%.4f", seconds / static_cast<double>(steps)),
                    formatted("%.1f %%", 100 * seconds / std::max(all, 1e-9))});
  };
  for (auto const& part : trace::part_times()) add(part.part, part.seconds);
  add("the whole step", all);
  return format_table(rows);
}

}  // namespace

Profiler::Profiler(std::filesystem::path file, int64_t steps, comm::Communicator world)
    : file_(std::move(file)), steps_(steps), world_(std::move(world)) {}

void Profiler::begin_step() {
  if (!file_.empty() && seen_ == 1) trace::start();
}

void Profiler::end_step() {
  ++seen_;
  if (!trace::is_on()) return;
  if (++recorded_ == steps_) write();
}

void Profiler::finish() {
  if (trace::is_on()) return write();
  if (!file_.empty() && recorded_ == 0)
    log_warning("nothing was recorded for --profile: a start's first step is left out, and no other was made");
}

void Profiler::write() {
  trace::stop();
  auto const events = world_.gather(trace::events_json(world_.rank()), 0);
  if (world_.rank() == 0) try {
      trace::write_events(file_, events);
    } catch (Error const& error) {
      log_warning(error_text(error) + ": the run goes on without its trace");
    }
  log_line(formatted("where the time of %ld steps went, on rank 0; all ranks are in %s\n", recorded_, file_.c_str()) +
           table_of_parts(recorded_));
}

}  // namespace refrain::train

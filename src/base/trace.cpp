#include <refrain/base/trace.hpp>

#include <refrain/base/files.hpp>
#include <refrain/base/json_file.hpp>

#include <algorithm>
#include <chrono>
#include <map>

namespace refrain::trace {
namespace {

struct Event {
  char const* part;
  char const* what;
  int64_t number;
  int64_t begin_ns, end_ns = -1;
  int64_t parent;
};

// Spans are made on the main thread alone, as collectives are.
struct Recorder {
  bool on = false;
  std::vector<Event> events;
  int64_t open = -1;  // the innermost unfinished event
};

Recorder& recorder() {
  static Recorder instance;
  return instance;
}

// The epoch's clock, so that the ranks of several nodes stand side by side.
int64_t now_ns() {
  auto const since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since_epoch).count();
}

}  // namespace

Span::Span(char const* part, char const* what, int64_t number) : event_(-1) {
  Recorder& all = recorder();
  if (!all.on) return;
  event_ = static_cast<int64_t>(all.events.size());
  all.events.push_back({.part = part, .what = what, .number = number, .begin_ns = now_ns(), .parent = all.open});
  all.open = event_;
}

Span::~Span() {
  Recorder& all = recorder();
  if (event_ < 0 || static_cast<std::size_t>(event_) >= all.events.size()) return;
  Event& event = all.events[static_cast<std::size_t>(event_)];
  event.end_ns = now_ns();
  all.open = event.parent;
}

void start() {
  recorder().events.clear();
  recorder().open = -1;
  recorder().on = true;
}

void stop() { recorder().on = false; }

bool is_on() noexcept { return recorder().on; }

std::vector<PartTime> part_times() {
  auto const& events = recorder().events;
  std::vector<int64_t> own(events.size(), 0);
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i].end_ns < 0) continue;
    int64_t const length = events[i].end_ns - events[i].begin_ns;
    own[i] += length;
    if (events[i].parent >= 0) own[static_cast<std::size_t>(events[i].parent)] -= length;
  }
  std::map<std::string, PartTime> parts;
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i].end_ns < 0) continue;
    PartTime& part = parts[events[i].part];
    part.part = events[i].part;
    part.seconds += static_cast<double>(own[i]) * 1e-9;
    ++part.spans;
  }
  std::vector<PartTime> result;
  for (auto const& [name, part] : parts) result.push_back(part);
  std::stable_sort(result.begin(), result.end(), [](auto const& a, auto const& b) { return a.seconds > b.seconds; });
  return result;
}

std::string events_json(int rank) {
  std::string text;
  for (Event const& event : recorder().events) {
    if (event.end_ns < 0) continue;
    std::string name = event.what[0] == '\0' ? event.part : event.what;
    if (event.number >= 0) name += " " + std::to_string(event.number);
    Json const entry{{"name", name},
                     {"cat", event.part},
                     {"ph", "X"},
                     {"ts", static_cast<double>(event.begin_ns) * 1e-3},
                     {"dur", static_cast<double>(event.end_ns - event.begin_ns) * 1e-3},
                     {"pid", rank},
                     {"tid", 0}};
    text += (text.empty() ? "" : ",\n") + dump_text(entry);
  }
  return text;
}

void write_events(std::filesystem::path const& path, std::vector<std::string> const& events_of_ranks) {
  std::string text = "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n";
  bool first = true;
  for (std::size_t rank = 0; rank < events_of_ranks.size(); ++rank) {
    Json const name{
        {"name", "process_name"}, {"ph", "M"}, {"pid", rank}, {"args", {{"name", "rank " + std::to_string(rank)}}}};
    text += (first ? "" : ",\n") + dump_text(name);
    if (!events_of_ranks[rank].empty()) text += ",\n" + events_of_ranks[rank];
    first = false;
  }
  write_file_atomically(path, text + "\n]}\n");
}

}  // namespace refrain::trace

#include <refrain/base/run_starts.hpp>

#include <algorithm>
#include <charconv>
#include <ctime>

namespace refrain {
namespace {

/// What stands at a path of keys, or null.
Json const& at_path(Json const& object, std::initializer_list<char const*> path) {
  static Json const nothing;
  Json const* at = &object;
  for (char const* key : path) {
    auto const found = at->is_object() ? at->find(key) : at->end();
    if (found == at->end()) return nothing;
    at = &*found;
  }
  return *at;
}

std::optional<int64_t> number_at(Json const& object, std::initializer_list<char const*> path) {
  auto const& value = at_path(object, path);
  return value.is_number_integer() ? std::optional(value.get<int64_t>()) : std::nullopt;
}

std::string text_at(Json const& object, std::initializer_list<char const*> path) {
  auto const& value = at_path(object, path);
  return value.is_string() ? value.get<std::string>() : std::string{};
}

std::optional<double> time_at(Json const& object, char const* key) { return seconds_of_time(text_at(object, {key})); }

/// Whether a line of starts.jsonl tells when its start ended. One that was written for a start that was killed, by the
/// next one, has no exit code, and the time at which it began.
bool tells_end(Json const& line) {
  auto const exit = line.find("exit");
  return exit == line.end() || !exit->is_null();
}

/// How many hosts the inside of brackets stands for: "1-3,07" for 4.
int64_t count_ranges(std::string_view text) {
  int64_t count = 0;
  while (!text.empty()) {
    auto const comma = std::min(text.find(','), text.size());
    auto const range = text.substr(0, comma);
    auto const number = [](std::string_view digits) {
      int64_t value = 0;
      std::from_chars(digits.data(), digits.data() + digits.size(), value);
      return value;
    };
    auto const dash = range.find('-');
    count += dash == std::string_view::npos ? 1 : number(range.substr(dash + 1)) - number(range.substr(0, dash)) + 1;
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return count;
}

}  // namespace

std::optional<double> seconds_of_time(std::string const& text) {
  std::tm parts{};
  char const* const end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return static_cast<double>(::timegm(&parts));
}

int64_t count_hosts(std::string const& nodes) {
  int64_t all = 0, each = 1;  // a name may hold several brackets: r[1-2]n[1-4]
  for (std::size_t at = 0; at < nodes.size(); ++at) {
    if (nodes[at] == ',') {
      all += each;
      each = 1;
    } else if (nodes[at] == '[') {
      auto const close = std::min(nodes.find(']', at), nodes.size());
      each *= count_ranges(std::string_view(nodes).substr(at + 1, close - at - 1));
      at = close;
    }
  }
  return std::max<int64_t>(all + each, 1);
}

std::vector<RunStart> read_starts(Json const& record, std::vector<Json> const& endings, Json const& status) {
  std::vector<RunStart> result;
  auto const& starts = at_path(record, {"starts"});
  if (!starts.is_array()) return result;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    auto const begin = time_at(starts[i], "time");
    if (!begin) continue;
    RunStart start{.begin = *begin,
                   .ending = "lost",
                   .first_step = number_at(starts[i], {"first_step"}).value_or(0),
                   .ranks = number_at(starts[i], {"provenance", "layout", "tensor_parallel"}).value_or(1) *
                            number_at(starts[i], {"provenance", "layout", "data_parallel"}).value_or(1),
                   .nodes = count_hosts(text_at(starts[i], {"provenance", "slurm", "SLURM_JOB_NODELIST"}))};
    bool const last = i + 1 == starts.size();
    auto const next = last ? std::nullopt : time_at(starts[i + 1], "time");
    auto const line = std::find_if(endings.begin(), endings.end(), [&](Json const& ending) {
      auto const time = time_at(ending, "time");
      return time && tells_end(ending) && *time >= *begin && (!next || *time <= *next);
    });
    if (line != endings.end()) {
      start.end = time_at(*line, "time");
      start.ending = text_at(*line, {"ending"});
      start.reached = number_at(*line, {"step"});
    } else {
      // Nobody waited for its end: the last start says itself where it is, of others the next one found it.
      auto const& said = last ? status : at_path(starts[i + 1], {"before"});
      if (last) start.ending = text_at(said, {"state"});
      start.end = time_at(said, "updated");
      start.reached = number_at(said, {"step"});
    }
    result.push_back(std::move(start));
  }
  return result;
}

int64_t steps_done_again(std::vector<RunStart> const& starts) {
  int64_t again = 0, reached = 0;
  for (auto const& start : starts) {
    again += std::max<int64_t>(reached - start.first_step, 0);
    // What was done again is counted once: from here on this start's steps are the run's.
    reached = start.reached ? *start.reached : start.first_step;
  }
  return again;
}

}  // namespace refrain

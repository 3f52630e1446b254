#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/json_lines.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/study/starts.hpp>

#include <algorithm>
#include <fstream>
#include <map>
#include <string_view>
#include <vector>

namespace refrain::study {

namespace {

char const* name_of(Ending ending) {
  switch (ending) {
    case Ending::finished: return "finished";
    case Ending::stopped_early: return "stopped";
    case Ending::lost: return "lost";
    case Ending::failed: return "failed";
  }
  return "?";
}

/// The numbers of a line that say how far a start came. One that is not there is 0: older lines have fewer.
std::map<std::string, int64_t> reached_in(Json const& line) {
  std::map<std::string, int64_t> numbers;
  for (auto const& [key, value] : line.items())
    if (key != "exit" && value.is_number_integer() && value != 0) numbers[key] = value.get<int64_t>();
  return numbers;
}

/// Whether any of the numbers is larger than before.
bool exceeds(std::map<std::string, int64_t> const& now, std::map<std::string, int64_t> const& before) {
  return std::any_of(now.begin(), now.end(), [&](auto const& number) {
    auto const found = before.find(number.first);
    return number.second > (found == before.end() ? 0 : found->second);
  });
}

}  // namespace

std::string Starts::killed_on(std::string const& job) const {
  if (job.empty() || !std::filesystem::exists(running_)) return {};
  auto const start = read_json(running_);
  if (json_get<std::string>(start, "job", running_) != job) return {};
  return json_get<std::string>(start, "host", running_);
}

void Starts::record_killed(Ending ending, Json const& reached) const { append(read_json(running_), ending, reached); }

void Starts::begin(std::string const& job, std::string const& command) const {
  write_json(running_,
             {{"time", utc_now()}, {"job", job}, {"host", host_name()}, {"command", command}, {"exit", nullptr}});
}

void Starts::record(std::string const& job, std::string const& command, int exit_code, Ending ending,
                    Json const& reached, std::string const& error) const {
  Json line{{"time", utc_now()}, {"job", job}, {"host", host_name()}, {"command", command}, {"exit", exit_code}};
  if (!error.empty()) line["error"] = error;
  append(std::move(line), ending, reached);
}

void Starts::append(Json line, Ending ending, Json const& reached) const {
  line["ending"] = name_of(ending);
  line.update(reached);
  Error const unwritable("cannot write the record of starts", "check space and permissions", {.file = path_});
  auto const text = std::filesystem::exists(path_) ? read_file(path_) : std::string{};
  auto const before = visit_lines(text, [](std::string_view) { return true; });
  // What a start that was killed as it wrote left behind the last line break would spoil the line.
  std::error_code uncut, ignored;
  if (before < text.size()) std::filesystem::resize_file(path_, before, uncut);
  if (uncut) throw unwritable;
  std::ofstream out(path_, std::ios::app);
  out << dump_text(line) << "\n";
  if (!out.flush()) {
    out.close();
    std::filesystem::resize_file(path_, before, ignored);  // no half line
    throw unwritable;
  }
  std::filesystem::remove(running_, ignored);
}

std::vector<Json> Starts::lines() const {
  return std::filesystem::exists(path_) ? read_json_lines(path_) : std::vector<Json>{};
}

Words Starts::finished_with(std::string const& program) const {
  auto const all = lines();
  auto const last = std::find_if(all.rbegin(), all.rend(), [&](Json const& line) {
    return json_get<std::string>(line, "ending", path_) == name_of(Ending::finished);
  });
  if (last == all.rend()) return {};
  auto const words = split_words(json_get<std::string>(*last, "command", path_), path_.string());
  auto const found = std::find_if(words.begin(), words.end(), [&](std::string const& word) {
    return std::filesystem::path(word).filename() == program;
  });
  return found == words.end() ? Words{} : Words(found + 1, words.end());
}

bool Starts::failed_last() const {
  auto const all = lines();
  return !all.empty() && json_get<std::string>(all.back(), "ending", path_) == name_of(Ending::failed);
}

std::string Starts::last_failure() const {
  return failed_last() ? json_get_or<std::string>(lines().back(), "error", "", path_) : std::string{};
}

bool Starts::stands_still(Json const& reached) const {
  constexpr std::size_t restarts = 3;
  std::vector<Json> unfinished;  // the starts in a row, until now, after which the work went on
  for (auto const& start : lines()) {
    auto const ending = json_get<std::string>(start, "ending", path_);
    if (ending != name_of(Ending::stopped_early) && ending != name_of(Ending::lost))
      unfinished.clear();
    else
      unfinished.push_back(start);
  }
  if (unfinished.size() < restarts) return false;
  unfinished.push_back(reached);
  auto const before = reached_in(unfinished[unfinished.size() - 1 - restarts]);
  return std::all_of(unfinished.end() - restarts, unfinished.end(),
                     [&](Json const& start) { return !exceeds(reached_in(start), before); });
}

}  // namespace refrain::study

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/study/starts.hpp>

#include <fstream>
#include <map>
#include <sstream>
#include <vector>

namespace refrain::study {

namespace {

char const* name_of(Ending ending) {
  switch (ending) {
    case Ending::finished: return "finished";
    case Ending::stopped_early: return "stopped";
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

}  // namespace

void Starts::record(std::string const& job, std::string const& command, int exit_code, Ending ending,
                    Json const& reached) const {
  Json line{{"time", utc_now()},  {"job", job},        {"host", host_name()},
            {"command", command}, {"exit", exit_code}, {"ending", name_of(ending)}};
  line.update(reached);
  std::ofstream out(path_, std::ios::app);
  out << dump_text(line) << "\n";
  if (!out.flush()) throw Error("cannot write the record of starts", "check space and permissions", {.file = path_});
}

std::vector<Json> Starts::lines() const {
  std::vector<Json> lines;
  if (!std::filesystem::exists(path_)) return lines;
  std::istringstream text(read_file(path_));
  for (std::string line; std::getline(text, line);) lines.push_back(parse_json(line, path_));
  return lines;
}

bool Starts::failed_last() const {
  auto const all = lines();
  return !all.empty() && json_get<std::string>(all.back(), "ending", path_) == name_of(Ending::failed);
}

bool Starts::stands_still() const {
  auto const all = lines();
  if (all.size() < 2) return false;
  auto const& last = all[all.size() - 1];
  auto const& before = all[all.size() - 2];
  auto const stopped = [&](Json const& line) {
    return json_get<std::string>(line, "ending", path_) == name_of(Ending::stopped_early);
  };
  return stopped(last) && stopped(before) && reached_in(last) == reached_in(before);
}

}  // namespace refrain::study

#include <refrain/report/runs.hpp>

#include <refrain/base/digest.hpp>
#include <refrain/base/json_lines.hpp>
#include <refrain/base/line_log.hpp>
#include <refrain/base/run_name.hpp>
#include <refrain/base/run_starts.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/h5/reader.hpp>
#include <refrain/report/measures.hpp>

#include <algorithm>
#include <map>
#include <optional>

namespace refrain::report {
namespace {

namespace fs = std::filesystem;

std::vector<std::pair<std::string, int64_t>> count_pairs(Json const& record, fs::path const& file) {
  fs::path const path = json_get_or<std::string>(json_get<Json>(record, "options", file), "pairs", "", file);
  auto const digest = json_get_or<std::string>(json_get<Json>(record, "identity", file), "pairs", "", file);
  if (path.empty() || !fs::is_regular_file(path) || sha256_file(path) != digest) return {};
  std::map<std::string, int64_t> counts;
  for (auto const& language : h5::Reader(path, "pairs.v1").read_text("/pair/language")) ++counts[language];
  std::vector<std::pair<std::string, int64_t>> sorted(counts.begin(), counts.end());
  auto const languages = Languages::load();
  std::sort(sorted.begin(), sorted.end(),
            [&](auto const& a, auto const& b) { return languages.before(a.first, b.first); });
  return sorted;
}

/// What became of a run's starts.
struct Followed {
  std::map<std::string, int64_t> endings;
  double known = 0, most = 0;  ///< seconds of all ranks
};

Followed follow(std::vector<RunStart> const& starts) {
  Followed result;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    auto const& start = starts[i];
    bool const lost = start.ending == "lost" || start.ending == "running";  // a report is of what has ended
    ++result.endings[lost ? "lost" : start.ending];
    auto const ranks = static_cast<double>(start.ranks);
    if (start.end) result.known += ranks * (*start.end - start.begin);
    auto const until = lost && i + 1 < starts.size() ? std::optional(starts[i + 1].begin) : start.end;
    if (until) result.most += ranks * (*until - start.begin);
  }
  return result;
}

int64_t step_of(Json const& row) {
  auto const found = row.find("step");
  return found != row.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

Cell metric(Json const& row, char const* key) {
  auto const found = row.find(key);
  return found != row.end() && found->is_number() ? number(found->get<double>()) : Cell{};
}

}  // namespace

Json read_run_record(fs::path const& folder) {
  if (!fs::exists(folder / "run.json"))
    throw Error("the folder is no training run: it has no run.json", "give --runs the folders that refrain-train wrote",
                {.file = folder});
  return read_sealed_json(folder / "run.json");
}

std::vector<Json> read_metrics(fs::path const& folder) {
  auto const file = folder / "metrics.jsonl", status = folder / "status.json";
  if (fs::exists(file)) return read_json_lines(file);
  // Before the first step there need be none; behind it status.json says what there is.
  if (fs::exists(status))
    if (auto const record = read_sealed_json(status); record.contains("metrics"))
      LineLog::check(file, record.at("metrics"));
  return {};
}

Run read_run(fs::path const& folder) {
  Run run{.name = run_name(folder), .record = read_run_record(folder)};
  if (fs::exists(folder / "status.json")) run.status = read_sealed_json(folder / "status.json");
  if (!run.status.is_object()) run.status = Json::object();
  for (auto& row : read_metrics(folder))
    if (row.contains("loss"))
      run.metrics.push_back(std::move(row));
    else if (row.contains("eval_loss"))
      run.evaluation = std::move(row);
  if (fs::path const starts = fs::weakly_canonical(folder).string() + ".starts.jsonl"; fs::exists(starts))
    run.endings = read_json_lines(starts);
  run.pairs_by_language = count_pairs(run.record, folder / "run.json");
  return run;
}

Table curve_table(std::vector<Run> const& runs) {
  Table table{.id = "curves",
              .title = "Training",
              .columns = {{"run", "Run"},
                          {"step", "Step", Format::count},
                          {"loss", "Loss", Format::decimal},
                          {"margin", "Reward margin", Format::decimal},
                          {"accuracy", "Reward accuracy", Format::decimal}},
              .rows = {}};
  for (auto const& run : runs)
    for (auto const& row : run.metrics)
      table.rows.push_back({run.name, step_of(row), metric(row, "loss"), metric(row, "rewards/margins"),
                            metric(row, "rewards/accuracies")});
  return table;
}

Table hours_table(std::vector<Run> const& runs) {
  Table table{.id = "hours",
              .title = "Hours of training, failed and lost starts among them",
              .columns = {{"run", "Run"},
                          {"state", "State"},
                          {"device", "Device"},
                          {"ranks", "Ranks", Format::count},
                          {"starts", "Starts", Format::count},
                          {"finished", "Finished", Format::count},
                          {"stopped", "Stopped early", Format::count},
                          {"failed", "Failed", Format::count},
                          {"lost", "Lost", Format::count},
                          {"hours", "Hours x ranks", Format::decimal},
                          {"hours_at_most", "At most", Format::decimal}},
              .rows = {}};
  for (auto const& run : runs) {
    auto const recorded = run.record.value("starts", Json::array());
    Json const last = recorded.empty() ? Json::object() : recorded.back();
    auto const layout = last.value("provenance", Json::object()).value("layout", Json::object());
    auto const starts = read_starts(run.record, run.endings, run.status);
    auto const followed = follow(starts);
    std::vector<Cell> row{run.name, run.status.value("state", "unknown"), layout.value("device", "unknown"),
                          starts.empty() ? int64_t{1} : starts.back().ranks, static_cast<int64_t>(starts.size())};
    for (char const* ending : {"finished", "stopped", "failed", "lost"}) {
      auto const found = followed.endings.find(ending);
      row.emplace_back(found == followed.endings.end() ? int64_t{0} : found->second);
    }
    row.emplace_back(followed.known / 3600);
    row.emplace_back(followed.most / 3600);
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table pairs_table(std::vector<Run> const& runs) {
  Table table{.id = "pairs",
              .title = "Pairs trained on, after drops and selection",
              .columns = {{"run", "Run"}, {"language", "Language"}, {"pairs", "Pairs", Format::count}},
              .rows = {}};
  for (auto const& run : runs) {
    int64_t all = 0;
    for (auto const& [language, pairs] : run.pairs_by_language) {
      table.rows.push_back({run.name, language, pairs});
      all += pairs;
    }
    if (all > 0) table.rows.push_back({run.name, std::string(pool), all});
  }
  return table;
}

}  // namespace refrain::report

#include <refrain/report/tensorboard.hpp>

#include <refrain/base/anonymous.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/base/run_name.hpp>
#include <refrain/base/run_starts.hpp>
#include <refrain/report/event_file.hpp>
#include <refrain/report/runs.hpp>

#include <algorithm>
#include <iostream>
#include <map>

namespace refrain::report {
namespace {

namespace fs = std::filesystem;

constexpr char file_prefix[] = "events.out.tfevents.", file_suffix[] = ".refrain";

/// A line of metrics.jsonl.
struct Row {
  int64_t step = 0;
  double seconds = 0;  ///< that its step or evaluation took
  std::vector<std::pair<std::string, double>> values;
};

std::string tag_of(std::string const& key) {
  return key.starts_with("eval_") ? "eval/" + key.substr(5) : "train/" + key;
}

Row read_row(Json const& line, Place const& place) {
  auto const bad = [&](std::string const& problem) {
    return Error(problem, "put the file back from a copy, or remove its damaged end", place);
  };
  if (!line.contains("step") || !line.at("step").is_number_unsigned()) throw bad("has no step");
  Row row{.step = line.at("step").get<int64_t>(), .seconds = 0, .values = {}};
  for (auto const& [key, value] : line.items()) {
    if (key == "step" || value.is_null()) continue;
    if (!value.is_number()) throw bad(key + " is no number");
    if (key == "step_seconds" || key == "eval_seconds") row.seconds += value.get<double>();
    row.values.emplace_back(tag_of(key), value.get<double>());
  }
  return row;
}

std::vector<Row> read_rows(fs::path const& run) {
  std::vector<Row> rows;
  for (auto const& line : read_metrics(run))
    rows.push_back(
        read_row(line, {.file = run / "metrics.jsonl", .object = "line " + std::to_string(rows.size() + 1)}));
  return rows;
}

/// When rows were written, one after the other. A resumed start cuts later rows off, so that a row is of the last start
/// that began before its step.
class RowTimes {
public:
  explicit RowTimes(Json const& record) : starts_(read_starts(record, {}, Json::object())) {}

  double first() const { return starts_.empty() ? 0 : starts_.front().begin; }

  double next(Row const& row) {
    for (; begun_ < starts_.size(); ++begun_) {
      // Rows of step 0 come before the first step.
      if (starts_[begun_].first_step >= std::max<int64_t>(row.step, 1)) break;
      now_ = std::max(now_, starts_[begun_].begin);
    }
    return now_ += row.seconds;
  }

private:
  std::vector<RunStart> starts_;
  std::size_t begun_ = 0;  ///< starts before the next row
  double now_ = 0;
};

/// JSON as a code block of Markdown.
std::string code_block(Json const& value) {
  std::string text = "    ";
  for (char const letter : dump_text(value, 2)) text += letter == '\n' ? "\n    " : std::string(1, letter);
  return text;
}

/// The event file of one run, by its name within --out.
std::pair<fs::path, std::string> event_file(fs::path const& folder, bool anonymous) {
  auto const record_file = folder / "run.json";
  Json const record = read_run_record(folder);
  RowTimes times(record);
  EventFile events(times.first());
  auto const shown = [&](char const* key) {
    auto const value = json_get<Json>(record, key, record_file);
    return anonymous ? anonymised(value) : value;
  };
  events.add_text(times.first(), "args", code_block(shown("options")));
  events.add_hyperparameters(times.first(), shown("identity"));
  for (auto const& row : read_rows(folder)) events.add_scalars(times.next(row), row.step, row.values);
  auto const seconds = std::to_string(static_cast<int64_t>(times.first()));
  return {fs::path(run_name(fs::canonical(folder))) / (file_prefix + seconds + file_suffix), events.bytes()};
}

/// Event files of an earlier call: TensorBoard would show their runs beside these.
void remove_others(fs::path const& out, std::map<fs::path, std::string> const& files) {
  std::vector<fs::path> others;
  for (auto const& entry : fs::recursive_directory_iterator(out)) {
    auto const name = entry.path().filename().string();
    if (name.starts_with(file_prefix) && name.ends_with(file_suffix) &&
        !files.contains(entry.path().lexically_relative(out)))
      others.push_back(entry.path());
  }
  for (auto const& other : others) {
    fs::remove(other);
    std::error_code not_empty;
    fs::remove(other.parent_path(), not_empty);
  }
}

}  // namespace

Exit write_tensorboard(Options const& options) {
  Provenance provenance("refrain-report", options.record);
  std::map<fs::path, std::string> files;
  for (auto const& run : options.runs) {
    auto const [place, bytes] = event_file(run, options.anonymous);
    for (auto const& [other, unused] : files)
      if (other.parent_path() == place.parent_path())
        throw UsageError("--runs: two runs are called " + place.parent_path().string(),
                         "export them into two folders, or rename one's folder", {.file = run});
    files.emplace(place, bytes);
    provenance.add_input(run / "run.json");
    if (fs::exists(run / "metrics.jsonl")) provenance.add_input(run / "metrics.jsonl");
  }
  make_folders(options.out);
  write_json(options.out / "tensorboard.json", options.anonymous ? anonymised(provenance.json()) : provenance.json());
  for (auto const& [place, bytes] : files) {
    make_folders((options.out / place).parent_path());
    write_file_atomically(options.out / place, bytes);
  }
  remove_others(options.out, files);
  std::cout << options.out.string() << "\n" << std::flush;
  return Exit::success;
}

}  // namespace refrain::report

#include <refrain/train/run_folder.hpp>

#include <refrain/base/files.hpp>
#include <refrain/base/json_lines.hpp>
#include <refrain/base/line_log.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/h5/writer.hpp>

#include <cmath>
#include <limits>
#include <map>

namespace refrain::train {
namespace {

namespace fs = std::filesystem;

fs::path made(fs::path const& path) {
  std::error_code problem;
  fs::create_directories(path, problem);
  if (problem || !fs::is_directory(path))
    throw Error("the run folder cannot be made: " + (problem ? problem.message() : "a file is in its place"),
                "name another with --run-dir", {.file = path});
  return path;
}

}  // namespace

RunFolder::RunFolder(fs::path path) : path_(made(path)), lock_(FolderLock::acquire(path_ / "lock")) {}

Json RunFolder::identity() const {
  fs::path const file = path_ / "run.json";
  if (!fs::exists(file)) return nullptr;
  Json run;
  try {
    run = read_sealed_json(file);
  } catch (Error const& error) {
    throw Error(error.problem(), "remove it to go on: checkpoints say themselves which run they are of", error.place());
  }
  if (!run.contains("identity")) throw Error("the key identity is missing", "this is no run's folder", {.file = file});
  return run.at("identity");
}

void RunFolder::record_start(Json const& identity, Json const& options, Json const& provenance, int64_t first_step,
                             Json const& more) {
  fs::path const file = path_ / "run.json";
  Json start{{"time", utc_now()}, {"first_step", first_step}, {"options", options}, {"provenance", provenance}};
  start.update(more);
  // What an earlier start did and nobody could record, because it was killed: status.json is about to be this start's.
  if (Json const last = status(); last.contains("step") && last.contains("updated"))
    start["before"] = {{"state", last.value("state", "")}, {"step", last.at("step")}, {"updated", last.at("updated")}};
  Json run;
  if (fs::exists(file))
    run = read_sealed_json(file);
  else
    run = Json{{"identity", identity}, {"options", options}, {"provenance", provenance}, {"starts", Json::array()}};
  run["starts"].push_back(start);
  write_sealed_json(file, run);
}

void RunFolder::open_metrics(Progressed const& progress) {
  int64_t const step = progress.step;
  int64_t last = 0;
  metrics_.emplace(path_ / "metrics.jsonl", [step, &last](Json const& row) {
    if (step == 0 || row.value("step", int64_t{0}) > step) return false;
    last = row.value("step", int64_t{0});
    return true;
  });
  if (last < step)
    log_warning("metrics.jsonl ends with step " + std::to_string(last) + ", and the run goes on from step " +
                std::to_string(step) + ": the steps between have no rows");
  write_status("running", progress);
  metrics_->commit();
}

void RunFolder::append_metrics(Json const& row, Progressed const& progress) {
  metrics_->announce(row);
  write_status("running", progress);
  metrics_->commit();
}

void RunFolder::write_metrics_columns(Json const& provenance) {
  metrics_->sync();
  auto const rows = read_json_lines(path_ / "metrics.jsonl");
  std::map<std::string, std::vector<double>> columns;
  std::vector<int64_t> steps;
  for (auto const& row : rows)
    for (auto const& [key, value] : row.items())
      if (key != "step" && value.is_number())
        columns.try_emplace(key, rows.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    steps.push_back(rows[i].value("step", int64_t{0}));
    for (auto& [key, values] : columns)
      if (auto const found = rows[i].find(key); found != rows[i].end() && found->is_number())
        values[i] = found->get<double>();
  }
  h5::Writer out(path_ / "metrics.h5", "metrics.v1", provenance);
  out.write("/metrics/step", steps);
  for (auto const& [key, values] : columns) out.write("/metrics/" + key, values);
  out.finish();
}

void RunFolder::write_status(std::string const& state, Progressed const& progress, std::string const& error) {
  write_sealed_json(path_ / "status.json", Json{{"state", state},
                                                {"step", progress.step},
                                                {"steps", progress.steps},
                                                {"reference_batches", progress.reference_batches},
                                                {"pairs_per_second", progress.pairs_per_second},
                                                {"updated", utc_now()},
                                                {"error", error.empty() ? Json(nullptr) : Json(error)},
                                                {"metrics", metrics_position()}});
}

Json RunFolder::metrics_position() const {
  if (metrics_) return metrics_->position();
  if (Json const before = status(); before.contains("metrics")) return before.at("metrics");
  return LineLog(path_ / "metrics.jsonl", [](Json const&) { return true; }).position();
}

Json RunFolder::status() const {
  fs::path const file = path_ / "status.json";
  if (!fs::exists(file)) return Json::object();
  try {
    return read_sealed_json(file);
  } catch (Error const&) {
    return Json::object();  // damaged: it is written anew
  }
}

std::string RunFolder::state() const { return status().value("state", ""); }
int64_t RunFolder::step() const { return status().value("step", int64_t{0}); }

void RunFolder::mark_failed(std::string const& error) {
  Json const before = status();
  if (before.value("state", "") == "finished") return;
  write_status("failed",
               {.step = before.value("step", int64_t{0}),
                .steps = before.value("steps", int64_t{0}),
                .reference_batches = before.value("reference_batches", int64_t{0})},
               error);
}

void RunFolder::write_evaluation(std::string const& key, Json const& value) {
  fs::path const file = path_ / "eval.json";
  Json all = fs::exists(file) ? read_sealed_json(file) : Json::object();
  all[key] = value;
  write_sealed_json(file, all);
}

std::string describe_difference(Json const& before, Json const& now) {
  std::string text;
  auto const add = [&](std::string const& key, Json const& old_value, Json const& new_value) {
    text += (text.empty() ? "" : ", ") + key + " " + dump_text(old_value) + " -> " + dump_text(new_value);
  };
  for (auto const& [key, value] : now.items())
    if (!before.contains(key))
      add(key, nullptr, value);
    else if (before.at(key) != value)
      add(key, before.at(key), value);
  for (auto const& [key, value] : before.items())
    if (!now.contains(key)) add(key, value, nullptr);
  return text;
}

}  // namespace refrain::train

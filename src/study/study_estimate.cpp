#include <refrain/base/error.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/study/batch_job.hpp>
#include <refrain/study/configuration.hpp>
#include <refrain/study/process.hpp>
#include <refrain/study/study_estimate.hpp>

#include <map>

#include <stdlib.h>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// A file that the planner writes its numbers into.
class PlanFile {
public:
  PlanFile() : folder_((fs::temp_directory_path() / "refrain-plan-XXXXXX").string()) {
    if (!::mkdtemp(folder_.data())) throw system_error("make a temporary folder", {}, {.file = folder_});
  }
  PlanFile(PlanFile const&) = delete;
  PlanFile& operator=(PlanFile const&) = delete;
  ~PlanFile() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  fs::path path() const { return fs::path(folder_) / "plan.json"; }

private:
  std::string folder_;
};

Words plan_line(Study const& study, StudyModel const& model, Configuration const& configuration,
                Estimate const& estimate, fs::path const& pairs) {
  Words line{program("train").string(),
             "--plan",
             "--init",
             model.settings.model.string(),
             "--nodes",
             std::to_string(estimate.nodes),
             "--gpus-per-node",
             std::to_string(estimate.tasks_per_node),
             "--tensor-parallel",
             std::to_string(model.settings.tensor_parallel.value_or(configuration.tensor_parallel))};
  if (!study.machine.empty()) line.insert(line.end(), {"--machine", study.machine});
  if (estimate.assumed)
    line.insert(line.end(), {"--plan-pairs", std::to_string(estimate.pairs)});
  else
    line.insert(line.end(), {"--pairs", pairs.string()});
  auto const more = merge_options(configuration.train_options, model.settings.train_args, {}, "REFRAIN_TRAIN_ARGS");
  line.insert(line.end(), more.begin(), more.end());
  return line;
}

/// Asks the planner, and keeps its answers: configurations of one number of pairs cost the same.
class Planner {
public:
  Json ask(Words const& line) {
    auto const key = join_words(line);
    if (auto const found = answers_.find(key); found != answers_.end()) return found->second;
    auto asked = line;
    fs::remove(file_.path());
    asked.insert(asked.end(), {"--plan-out", file_.path().string()});
    auto const said = run_captured(asked, Stderr::capture);
    auto& answer = answers_[key];
    if (said.code == 0)
      answer = read_json(file_.path());
    else
      answer = first_line(said.text);
    return answer;
  }

private:
  PlanFile file_;
  std::map<std::string, Json> answers_;
};

}  // namespace

std::vector<Estimate> estimate_training(Study const& study) {
  Planner planner;
  std::vector<Estimate> estimates;
  for (auto const& model : study.models)
    for (std::size_t i = 0; i < model.pairs.size(); ++i) {
      auto const& name = model.settings.studies[i];
      auto const configuration = find_configuration(name);
      auto const found = model.sbatch.find(Stage::train);
      auto const options = found == model.sbatch.end() ? Words{} : found->second;
      auto const number = [&](char const* option, int otherwise) {
        return static_cast<int>(option_number(options, option, "sbatch").value_or(otherwise));
      };
      auto const pairs = study.folder / name / "pairs.h5";
      Estimate estimate{.job = model.size + "/train/" + model.pairs[i],
                        .pairs = configuration.paper_pairs,
                        .assumed = !fs::exists(pairs),
                        .members = static_cast<int>(model.members()),
                        .nodes = number("--nodes", configuration.nodes),
                        .tasks_per_node = number("--ntasks-per-node", configuration.tasks_per_node)};
      auto const answer = planner.ask(plan_line(study, model, configuration, estimate, pairs));
      if (answer.is_string()) {
        estimate.missing = answer.get<std::string>();
      } else {
        auto const planned = [&](char const* key) { return json_get<double>(answer, key, "the planner's answer"); };
        estimate.fits = json_get<bool>(answer, "fits", "the planner's answer");
        estimate.gpu_hours = estimate.members * (planned("training_gpu_hours") + planned("reference_gpu_hours"));
        estimate.peak_bytes = planned("disk_bytes");
        estimate.kept_bytes = planned("final_bytes");
      }
      estimates.push_back(std::move(estimate));
    }
  return estimates;
}

}  // namespace refrain::study

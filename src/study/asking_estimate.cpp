#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/study/asking_estimate.hpp>
#include <refrain/study/model_tensors.hpp>
#include <refrain/study/sbatch.hpp>

#include <cmath>
#include <fstream>
#include <map>
#include <optional>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

constexpr double prompt_tokens = 155;      // the planner's prompts: 60 to 250 tokens
constexpr double rows_at_once = 128;       // where reading the parameters takes an H100 about as long as their products
constexpr double share_adjudicated = 0.1;  // the paper's guards agree on more than 90 %

DeviceRate find_device(std::string const& machine) {
  auto const file = data_file("train/machines.json");
  auto const name = machine.empty() ? std::string("H100") : machine;  // as refrain-train --plan
  auto const machines = json_get<Json>(read_json(file), "machines", file);
  if (!machines.contains(name)) {
    Words known;
    for (auto const& [other, entry] : machines.items()) known.push_back(other);
    throw Error("machine " + name + " is not known", "known are " + joined(known), {.file = file});
  }
  auto const& entry = machines.at(name);
  auto const number = [&](char const* key) { return json_get<double>(entry, key, file); };
  return {.flops = number("tflops") * 1e12 * number("efficiency"),
          .memory = number("memory_gbs") * 1e9,
          .parameter = json_get<std::string>(entry, "kind", file) == "cpu" ? 4.0 : 2.0};
}

/// Prompts of JSONL files, whose lines can be counted; nothing where there are others.
std::optional<int64_t> count_prompts(Words const& files) {
  int64_t count = 0;
  for (fs::path const file : files) {
    if (file.extension() != ".jsonl") return {};
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);)
      if (line.find_first_not_of(" \t\r") != std::string::npos) ++count;
  }
  return count;
}

int64_t paper_prompts() {
  auto const file = data_file("study/configurations.json");
  return json_get<int64_t>(read_json(file), "paper_prompts", file);
}

/// The jobs of one model of the study.
class ModelAsking {
public:
  ModelAsking(Study const& study, StudyModel const& model) : study_(study), model_(model) {
    auto const known = count_prompts(model.settings.prompts);
    auto const& options = model.settings.generate_args;
    assumed_ = !known;
    answers_ = known.value_or(paper_prompts()) * option_number(options, "--samples", "generate_args").value_or(1);
    answer_tokens_ = static_cast<double>(option_number(options, "--max-new-tokens", "generate_args").value_or(512));
    auto const folder = model.settings.model.string();
    auto const members = static_cast<int64_t>(model.members());
    for (auto const& pairs : model.pairs) add(Stage::generate, "/" + pairs, folder, answering(members));
    add(Stage::generate, "/base", folder, answering(1));
    for (auto const& guard : model.guards)
      if (guard.asks_model) add(Stage::judge, "/" + guard.name, guard.model.back(), judging(guard, 1));
    if (model.settings.adjudicator.empty()) return;
    auto const adjudicator = read_adjudicator(model.settings.adjudicator, model.guards);
    if (!adjudicator.asks_server)
      add(Stage::adjudicate, "", adjudicator.model.back(), judging(adjudicator, share_adjudicated));
  }

  std::vector<AskingEstimate> estimates;

private:
  Asked answering(int64_t models) const {
    return {.requests = models * answers_, .read = prompt_tokens, .written = answer_tokens_};
  }

  Asked judging(Guard const& judge, double share) const {
    auto const all = static_cast<double>(answers_) * static_cast<double>(model_.subjects.size());
    return {.requests = static_cast<int64_t>(std::ceil(share * all)),
            .read = prompt_tokens + answer_tokens_,
            .written = static_cast<double>(judge.max_tokens)};
  }

  void add(Stage stage, std::string const& rest, fs::path const& folder, Asked const& asked) {
    Words own;
    if (auto const found = model_.sbatch.find(stage); found != model_.sbatch.end()) own = found->second;
    std::string const name = stage_name(stage);
    auto const options = merge_options(directives(data_file("slurm/" + name + ".sh")), own, {}, "sbatch");
    auto const number = [&](char const* option) {
      return static_cast<int>(option_number(options, option, "sbatch").value_or(1));
    };
    AskingEstimate estimate{.job = model_.size + "/" + name + rest,
                            .stage = stage,
                            .asked = asked,
                            .assumed = assumed_,
                            .nodes = number("--nodes"),
                            .tasks_per_node = number("--ntasks-per-node")};
    try {
      estimate.gpu_hours = asking_seconds(parameters_of(folder), find_device(study_.machine), asked) / 3600;
    } catch (Error const& error) {
      estimate.missing = error.what();
    }
    estimates.push_back(std::move(estimate));
  }

  /// All configurations ask the same model, and its files are read once.
  double parameters_of(fs::path const& folder) {
    auto const known = parameters_.find(folder);
    auto const count = known == parameters_.end() ? count_parameters(folder) : known->second;
    parameters_[folder] = count;
    return static_cast<double>(count);
  }

  Study const& study_;
  StudyModel const& model_;
  int64_t answers_ = 0;       // of one model
  double answer_tokens_ = 0;  // at most
  bool assumed_ = false;      // the number of prompts
  std::map<fs::path, int64_t> parameters_;
};

}  // namespace

double asking_seconds(double parameters, DeviceRate const& device, Asked const& asked) {
  double const products = 2 * parameters * (asked.read + asked.written) / device.flops;
  double const reading = asked.written * parameters * device.parameter / (rows_at_once * device.memory);
  return static_cast<double>(asked.requests) * (products + reading);
}

std::vector<AskingEstimate> estimate_asking(Study const& study) {
  std::vector<AskingEstimate> all;
  for (auto const& model : study.models)
    for (auto& estimate : ModelAsking(study, model).estimates) all.push_back(std::move(estimate));
  return all;
}

}  // namespace refrain::study

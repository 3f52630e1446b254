#include <refrain/base/counted.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/study/configuration.hpp>
#include <refrain/study/launcher.hpp>
#include <refrain/study/model_tensors.hpp>
#include <refrain/study/program_options.hpp>
#include <refrain/study/sbatch.hpp>
#include <refrain/study/study_file.hpp>
#include <refrain/study/study_keys.hpp>
#include <refrain/study/sweep.hpp>

#include <algorithm>
#include <cctype>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// The texts behind keys of the file: where each of them stands, so that what is wrong with it can be said there.
using Places = std::map<std::string, KeyPlace>;

/// Calls `work`; what is wrong with the value of `key` is said where the file gives it. Values of the environment keep
/// their own message.
template <class Work>
auto checked(std::string const& key, Places const& places, Work const& work) {
  try {
    return work();
  } catch (Error const& error) {
    auto const found = places.find(key);
    if (found == places.end() || error.place().file == found->second.file) throw;
    auto const& about = error.place().file.string();
    found->second.refuse(error.problem() + (about.empty() ? "" : ": " + about), error.remedy());
  }
}

std::vector<std::string> keys_and(std::vector<std::string> more, std::vector<std::string> const& without) {
  for (auto const& key : setting_keys())
    if (std::find(without.begin(), without.end(), key) == without.end()) more.push_back(key);
  return more;
}

/// Reads `sbatch` of the file or of a model into `options`, which a model's replace stage by stage.
void read_sbatch(Json const& object, Environment const& environment, KeyPlace const& place,
                 std::map<Stage, Words>& options) {
  Words const reserved{"--array",  "--dependency", "--job-name", "--parsable",           "--chdir",
                       "--output", "--error",      "--export",   "--kill-on-invalid-dep"};
  std::vector<std::string> stages;
  for (auto const stage : all_stages) stages.emplace_back(stage_name(stage));
  check_keys(object, stages, place);
  for (auto const& [name, value] : object.items()) {
    auto const here = place.inside(name);
    options[*find_stage(name)] = checked(name, {{name, here}}, [&] {
      if (!value.is_string()) here.refuse("this is " + dump_text(value) + ", not a text", R"(write "--nodes=8")");
      auto const words = split_words(expand_variables(value.get<std::string>(), environment, here), here.key);
      auto const taken = merge_options({}, words, reserved, here.key, "take it out");
      check_sbatch_options(taken);
      return taken;
    });
  }
}

std::vector<std::string> read_configurations(Json const& value, KeyPlace const& place) {
  std::vector<std::string> pairs;
  for (auto const& each : value.is_array() ? value : Json::array({value})) {
    if (!each.is_string())
      place.refuse(dump_text(each) + " is no name of a configuration", R"(write ["balanced", "english_only"])");
    pairs.push_back(each.get<std::string>());
  }
  if (pairs.empty()) place.refuse("there are no configurations", R"(write ["balanced", "english_only"])");
  return pairs;
}

/// What stands above the models, and where.
struct Common {
  Json const& json;
  KeyPlace place;
  Environment const& environment;
  std::string method;
  fs::path runs;  ///< the study's folder; empty where nothing sets REFRAIN_RUNS
};

/// The variables that file and model set.
Environment read_variables(Common const& common, Json const& model, KeyPlace const& place, Places& places) {
  Environment variables;
  for (auto const& key : setting_keys()) {
    bool const own = model.contains(key);
    if (!own && (!common.json.contains(key) || key == "runs")) continue;
    auto const here = (own ? place : common.place).inside(key);
    variables[variable_of(key)] = setting_text(key, own ? model[key] : common.json[key], common.environment, here);
    places[key] = here;
  }
  return variables;
}

/// One part of a configuration's name, such as its size.
void check_part(std::string const& what, std::string const& name, Words const& known, KeyPlace const& place) {
  if (std::find(known.begin(), known.end(), name) == known.end())
    place.refuse("there is no " + what + " '" + name + "'", "there are " + joined(known));
}

/// Checks what the keys of a model name, one after the other. Messages call a setting by its key where the file gives
/// it, else by its variable.
void check_model(StudyModel& model, Environment const& variables, Places const& places) {
  auto const value = [&](std::string const& name) { return value_of(variables, name); };
  auto const called = [&](std::string const& key) { return places.contains(key) ? key : variable_of(key); };
  auto const judges_in = [&](std::string const& key) {
    return JudgeSource{.name = called(key), .is_key = places.contains(key)};
  };
  checked("folder", places, [&] {
    auto const folder = value("REFRAIN_MODEL");
    if (folder.empty()) return;
    if (!fs::is_directory(folder))
      throw Error("the model's folder does not exist", "name a Hugging Face folder or a checkpoint", {.file = folder});
    if (auto const name = lacking_file(folder); !name.empty())
      throw Error("the model's folder has no " + name, download_whole, {.file = folder});
  });
  for (auto const* key : {"pairs", "prompts"})
    checked(key, places, [&] { return split_paths(value(variable_of(key)), called(key)); });
  for (auto const& key : setting_keys())
    if (key.ends_with("_args")) checked(key, places, [&] { return split_words(value(variable_of(key)), called(key)); });
  checked("launcher", places, [&] { require_launcher(split_words(value("REFRAIN_LAUNCHER"), called("launcher"))); });
  model.settings = read_settings(variables, {"REFRAIN_PAIRS", "REFRAIN_PROMPTS", "REFRAIN_GUARDS", "REFRAIN_STUDY"});
  model.guards = checked("judges", places, [&] { return read_guards(model.settings.guards, judges_in("judges")); });
  checked("deciders", places, [&] { check_deciders(model.settings.deciders, model.guards, called("deciders")); });
  if (!model.settings.adjudicator.empty())
    checked("adjudicator", places,
            [&] { return read_adjudicator(model.settings.adjudicator, model.guards, judges_in("adjudicator")); });
  auto const swept = checked(
      "sweep", places, [&] { return swept_options(read_sweep(find_sweep(model.settings.sweep, called("sweep")))); });
  model.subjects = list_subjects(model.settings);
  for (auto const& key : setting_keys())
    if (key.ends_with("_args"))
      checked(key, places, [&] {
        ArgsSource source{.variable = variable_of(key), .called = called(key)};
        if (key == "train_args") source.swept = swept;
        return add_args({}, split_words(value(source.variable), source.called), source);
      });
  checked("report_args", places, [&] {  // which every model's job is given
    return merge_options({}, model.settings.report_args, {"--out"}, called("report_args"), "take it out");
  });
}

/// What check_allocation would refuse in the jobs of a model: tasks that make no whole tensor-parallel groups.
void check_groups(StudyModel const& model, KeyPlace const& place) {
  int const group = model.subjects.front().tensor_parallel;
  for (auto const stage : {Stage::train, Stage::generate}) {
    auto const script = stage == Stage::train ? model.settings.studies.front() : stage_name(stage);
    auto const own = model.sbatch.find(stage);
    auto const options = merge_options(directives(data_file("slurm/" + script + ".sh")),
                                       own == model.sbatch.end() ? Words{} : own->second, {}, "sbatch");
    auto const nodes = option_number(options, "--nodes", "sbatch");
    auto const each = option_number(options, "--ntasks-per-node", "sbatch");
    bool const by_number = !option_values(options, "--ntasks", "sbatch").empty();
    if (!by_number && nodes && each && *nodes * *each % group != 0)
      place.refuse(model.size + "/" + stage_name(stage) + " has " + counted(*nodes * *each, "task") +
                       ", which do not divide into groups of " + std::to_string(group) + " (tensor parallel)",
                   "set another tensor_parallel, or --nodes and --ntasks-per-node in sbatch." +
                       std::string(stage_name(stage)));
  }
}

StudyModel read_model(std::string const& size, Json const& json, Common const& common) {
  auto const place = common.place.inside("models").inside(size);
  auto const known = configuration_parts();
  check_part("size", size, known.sizes, place);
  Json const object = json.is_string() ? Json{{"folder", json}} : json;
  check_keys(object, keys_and({"configurations", "sbatch"}, {"runs", "disk_tb"}), place);
  StudyModel model{.size = size};
  Places places;
  auto variables = read_variables(common, object, place, places);
  if (json.is_string()) places["folder"] = place;

  bool const own = object.contains("configurations");
  if (!own && !common.json.contains("configurations"))
    common.place.refuse("there are no 'configurations'", R"(write ["balanced", "english_only"])");
  places["configurations"] = (own ? place : common.place).inside("configurations");
  model.pairs =
      read_configurations(own ? object["configurations"] : common.json["configurations"], places["configurations"]);
  Words names;
  for (auto const& pairs : model.pairs) {
    check_part("configuration", pairs, known.pairs, places["configurations"]);
    if (std::find(names.begin(), names.end(), common.method + "_" + size + "_" + pairs) != names.end())
      places["configurations"].refuse("'" + pairs + "' is named twice", "name each configuration once");
    names.push_back(common.method + "_" + size + "_" + pairs);
  }
  variables["REFRAIN_STUDY"] = join_words(names);
  if (!common.runs.empty()) variables["REFRAIN_RUNS"] = common.runs.string();

  for (auto const& [part, here] : {std::pair{&common.json, common.place}, std::pair{&object, place}})
    if (part->contains("sbatch"))
      read_sbatch((*part)["sbatch"], common.environment, here.inside("sbatch"), model.sbatch);

  auto all = common.environment;
  for (auto const* name : {"REFRAIN_JUDGE", "REFRAIN_SPLIT"}) all.erase(name);  // of single jobs
  for (auto const& [name, value] : variables) all[name] = value;
  model.variables = std::move(variables);
  check_model(model, all, places);
  check_groups(model, places.contains("tensor_parallel") ? places["tensor_parallel"] : place);
  return model;
}

/// Answers of the model before training stand in base/NAME, NAME that of its folder.
void check_folders_differ(std::vector<StudyModel> const& models, KeyPlace const& place) {
  for (std::size_t i = 0; i < models.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (models[i].subjects.back().folder == models[j].subjects.back().folder)
        place.inside(models[i].size)
            .refuse("its folder has the name of " + models[j].size + "'s, " +
                        models[i].subjects.back().folder.filename().string(),
                    "name one of them by a link with another name");
}

}  // namespace

Environment StudyModel::variables_of(Stage stage) const {
  Environment chosen;
  for (auto const& [name, value] : variables)
    if (is_read_by(name, stage)) chosen[name] = value;
  return chosen;
}

Study read_study(fs::path const& file, Environment const& environment) {
  Study study{.file = fs::absolute(file), .name = file.stem().string()};
  KeyPlace const place{study.file, {}};
  if (!std::all_of(study.name.begin(), study.name.end(),
                   [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; }))
    place.refuse("the study's name, " + study.name + ", has other characters than letters, digits, - and _",
                 "rename the file: the name is its folder's and its jobs'");
  Json const json = read_json(study.file);
  check_keys(json, keys_and({"about", "method", "machine", "models", "configurations", "sbatch"}, {"folder"}), place);
  auto const text = [&](char const* key, std::string const& otherwise) {
    if (!json.contains(key)) return otherwise;
    if (!json[key].is_string())
      place.inside(key).refuse("this is " + dump_text(json[key]) + ", not a text", "write it in quotes");
    return expand_variables(json[key].get<std::string>(), environment, place.inside(key));
  };
  text("about", {});
  study.machine = text("machine", {});
  auto runs = json.contains("runs") ? setting_text("runs", json["runs"], environment, place.inside("runs"))
              : environment.contains("REFRAIN_RUNS") ? environment.at("REFRAIN_RUNS")
                                                     : std::string{};
  if (!runs.empty()) study.folder = fs::absolute(runs) / study.name;

  if (!json.contains("models") || !json["models"].is_object() || json["models"].empty())
    place.inside("models").refuse("there are no models", R"(write {"8b": "/models/NeuralDaredevil-8B-abliterated"})");
  Common const common{json, place, environment, text("method", "dpo"), study.folder};
  check_part("method", common.method, configuration_parts().methods, place.inside("method"));
  for (auto const& [size, model] : json["models"].items()) study.models.push_back(read_model(size, model, common));
  check_folders_differ(study.models, place.inside("models"));
  return study;
}

fs::path find_study(std::string const& name) {
  if (fs::is_regular_file(name)) return fs::absolute(name);
  std::string const shipped = "slurm/studies/paper.json";
  auto const studies = data_files_beside(shipped);
  if (auto const found = studies.find(name); found != studies.end()) return found->second;
  throw UsageError("there is no study '" + name + "'",
                   "give the path of a file, or one of: " + joined(studies | std::views::keys),
                   {.file = data_file(shipped).parent_path()});
}

}  // namespace refrain::study

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/table.hpp>
#include <refrain/study/configuration.hpp>
#include <refrain/study/disk.hpp>
#include <refrain/study/doctor_checks.hpp>
#include <refrain/study/guards.hpp>
#include <refrain/study/job_limits.hpp>
#include <refrain/study/model_tensors.hpp>
#include <refrain/study/program_options.hpp>
#include <refrain/study/study_keys.hpp>
#include <refrain/study/sweep.hpp>

#include <algorithm>
#include <charconv>
#include <functional>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// What `look` says of the variable, or the Error that it throws as a broken one.
Finding look_at(std::string const& name, std::function<std::string()> const& look) try {
  return {Health::ok, name, look()};
} catch (Error const& error) {
  auto const& file = error.place().file;
  auto problem = error.problem();
  if (problem.starts_with(name + ": ")) problem.erase(0, name.size() + 2);
  return {Health::broken, name, problem + (file.empty() ? "" : " [" + file.string() + "]"), error.remedy()};
} catch (fs::filesystem_error const& error) {
  return {Health::broken, name, error.code().message() + " [" + error.path1().string() + "]",
          "check who owns it and its permissions"};
}

/// @throws Error unless the folder holds a model with its tokenizer
void require_model(fs::path const& folder) {
  require_folder(folder, "it");
  if (auto const name = lacking_file(folder); !name.empty())
    throw Error("the folder has no " + name, download_whole, {.file = folder});
}

std::string describe_model(fs::path const& folder) {
  require_model(folder);
  return folder.string() + ", " + format_count(count_parameters(folder)) + " parameters";
}

std::string describe_files(std::string const& name, std::string const& value) {
  double bytes = 0;
  auto const paths = split_paths(value, name);
  for (auto const& path : paths) {
    require_readable_file(path, "it");
    bytes += static_cast<double>(fs::file_size(path));
  }
  return std::to_string(paths.size()) + (paths.size() == 1 ? " file, " : " files, ") + format_bytes(bytes);
}

std::string describe_sweep(std::string const& value) {
  auto const table = find_sweep(value.empty() ? "default" : value);
  auto const members = read_sweep(table).size();
  return table.string() + ", " + std::to_string(members) + (members == 1 ? " member" : " members");
}

std::string describe_studies(std::string const& value) {
  auto const names = split_words(value, "REFRAIN_STUDY");
  for (auto const& name : names) find_configuration(name);
  return join_words(names);
}

/// Judges whose models are there.
std::string describe_guards(std::string const& guards, std::string const& adjudicator) {
  auto judges = read_guards(split_words(guards, "REFRAIN_GUARDS"));
  if (!adjudicator.empty()) judges.push_back(read_adjudicator(split_words(adjudicator, "REFRAIN_ADJUDICATOR"), judges));
  std::string text;
  for (auto const& judge : judges) {
    if (judge.model.size() == 2 && judge.model.front() == "--checkpoint") require_model(judge.model.back());
    text += (text.empty() ? "" : ", ") + judge.name;
  }
  return text;
}

/// Judges that decide, of those that `guards` names.
std::string describe_deciders(std::string const& deciders, std::string const& guards) {
  auto const names = split_words(deciders, "REFRAIN_DECIDERS");
  if (guards.empty())
    throw Error("names guards, and REFRAIN_GUARDS is not set", "set REFRAIN_GUARDS, or unset REFRAIN_DECIDERS");
  check_deciders(names, read_guards(split_words(guards, "REFRAIN_GUARDS")));
  return join_words(names);
}

/// The options that members of the sweep set; none where its table cannot be read, which is a finding of its own.
Words swept_by(std::string const& sweep) try {
  return swept_options(read_sweep(find_sweep(sweep.empty() ? "default" : sweep)));
} catch (Error const&) {
  return {};
}

/// What of a variable every job, or submit, would refuse whatever the others are. @throws Error
void check_alone(std::string const& name, std::string const& value, Words const& swept) {
  Environment alone{{name, value}};
  wanted_jobs(alone);
  for (auto const* needed : {"REFRAIN_MODEL", "REFRAIN_RUNS"}) alone[needed] = "/";
  read_settings(alone, {});
  if (!name.ends_with("_ARGS") || value.empty()) return;
  auto const keys = setting_keys();  // others' are not read
  if (std::none_of(keys.begin(), keys.end(), [&](std::string const& key) { return variable_of(key) == name; })) return;
  ArgsSource source{.variable = name};
  if (name == "REFRAIN_TRAIN_ARGS") source.swept = swept;
  add_args({}, split_words(value, name), source);
}

Finding check_threads(std::string const& value, std::optional<Allocation> const& allocation) {
  std::string const name = "OMP_NUM_THREADS";
  if (value.empty())
    return {Health::ok, name,
            allocation ? "not set: " + std::to_string(allocation->cpus_per_task) + " threads a rank, its CPUs"
                       : "not set: jobs take a thread for each CPU of a rank"};
  int threads = 0;
  auto const [end, problem] = std::from_chars(value.data(), value.data() + value.size(), threads);
  if (problem != std::errc{} || end != value.data() + value.size() || threads < 1)
    return {Health::broken, name, "is '" + value + "', not a number above 0", "unset it in env/site.sh"};
  if (allocation && threads > allocation->cpus_per_task)
    return {Health::warning, name,
            value + " threads a rank, but a rank has " + std::to_string(allocation->cpus_per_task) + " CPUs",
            "unset it in env/site.sh: jobs take a thread for each CPU of a rank"};
  return {Health::ok, name, value + " threads a rank"};
}

}  // namespace

Findings check_variables(Environment const& environment, std::optional<Allocation> const& allocation) {
  Findings findings;
  auto const swept = swept_by(value_of(environment, "REFRAIN_SWEEP"));
  auto const look = [&](std::string const& name, std::string const& meaning,
                        std::function<std::string(std::string const&)> const& describe) {
    auto const value = value_of(environment, name);
    if (value.empty())
      findings.push_back({Health::broken, name, "is not set", "export it in env/site.sh: " + meaning});
    else
      findings.push_back(look_at(name, [&] { return describe(value); }));
  };
  auto const look_if_set = [&](std::string const& name,
                               std::function<std::string(std::string const&)> const& describe) {
    if (!value_of(environment, name).empty()) look(name, "", describe);
  };
  look("REFRAIN_MODEL", "the Hugging Face folder or checkpoint to start from", describe_model);
  look("REFRAIN_PAIRS", "the preference files",
       [](std::string const& value) { return describe_files("REFRAIN_PAIRS", value); });
  if (value_of(environment, "REFRAIN_RUNS").empty())
    findings.push_back({Health::broken, "REFRAIN_RUNS", "is not set",
                        "export it in env/site.sh: the folder for run folders, on a file system that all nodes see"});
  findings.push_back(look_at("REFRAIN_SWEEP", [&] { return describe_sweep(value_of(environment, "REFRAIN_SWEEP")); }));
  look_if_set("REFRAIN_STUDY", describe_studies);
  look_if_set("REFRAIN_PROMPTS", [](std::string const& value) { return describe_files("REFRAIN_PROMPTS", value); });
  look_if_set("REFRAIN_GUARDS", [&](std::string const& value) {
    return describe_guards(value, value_of(environment, "REFRAIN_ADJUDICATOR"));
  });
  bool const guards_are_read = findings.back().subject != "REFRAIN_GUARDS" || findings.back().health == Health::ok;
  if (guards_are_read)  // else there is nothing to choose from
    look_if_set("REFRAIN_DECIDERS", [&](std::string const& value) {
      return describe_deciders(value, value_of(environment, "REFRAIN_GUARDS"));
    });
  // Numbers, quotes and options of all others, each by itself: one that is wrong hides no second.
  for (auto const& [name, value] : environment) {
    bool const is_told =
        std::any_of(findings.begin(), findings.end(), [&](Finding const& finding) { return finding.subject == name; });
    if (is_told || !name.starts_with("REFRAIN_")) continue;
    auto other = look_at("variables", [&] { return check_alone(name, value, swept), std::string{}; });
    if (other.health != Health::ok) findings.push_back(std::move(other));
  }
  findings.push_back(check_threads(value_of(environment, "OMP_NUM_THREADS"), allocation));
  return findings;
}

}  // namespace refrain::study

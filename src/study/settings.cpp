#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/study/settings.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <unistd.h>

namespace refrain::study {

namespace {

/// Variables that are words as a shell has them, wherever they are set.
constexpr std::pair<Words Settings::*, char const*> word_lists[]{
    {&Settings::studies, "REFRAIN_STUDY"},
    {&Settings::guards, "REFRAIN_GUARDS"},
    {&Settings::adjudicator, "REFRAIN_ADJUDICATOR"},
    {&Settings::deciders, "REFRAIN_DECIDERS"},
    {&Settings::train_args, "REFRAIN_TRAIN_ARGS"},
    {&Settings::shard_args, "REFRAIN_SHARD_ARGS"},
    {&Settings::prompt_args, "REFRAIN_PROMPT_ARGS"},
    {&Settings::generate_args, "REFRAIN_GENERATE_ARGS"},
    {&Settings::judge_args, "REFRAIN_JUDGE_ARGS"},
    {&Settings::adjudicator_args, "REFRAIN_ADJUDICATOR_ARGS"},
    {&Settings::report_args, "REFRAIN_REPORT_ARGS"},
    {&Settings::reports, "REFRAIN_REPORTS"},
    {&Settings::archive_args, "REFRAIN_ARCHIVE_ARGS"},
};

/// A number above 0, or nothing where the variable is empty.
template <class T>
std::optional<T> get_number(Environment const& environment, std::string const& name, std::string const& example) {
  auto const text = value_of(environment, name);
  if (text.empty()) return {};
  T value{};
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || !(value > 0))
    throw UsageError(name + " is '" + text + "', not a number above 0", "set it to a number such as " + example);
  return value;
}

}  // namespace

Environment current_environment() {
  Environment environment;
  for (char** entry = environ; *entry; ++entry) {
    std::string const text = *entry;
    if (auto const equals = text.find('='); equals != std::string::npos)
      environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return environment;
}

std::string value_of(Environment const& environment, std::string const& name) {
  auto const found = environment.find(name);
  return found == environment.end() ? std::string{} : found->second;
}

Settings read_settings(Environment const& environment, Words const& needed) {
  auto const split = value_of(environment, "REFRAIN_SPLIT");
  if (!split.empty() && split != "test" && split != "dev")
    throw UsageError("REFRAIN_SPLIT is '" + split + "', neither test nor dev", "unset it, or set it to dev");
  auto const* const prompts_name = split == "dev" ? "REFRAIN_DEV_PROMPTS" : "REFRAIN_PROMPTS";
  struct Variable {
    char const *name, *meaning;
  };
  auto const is_needed = [&](std::string const& name) {
    auto const variable = name == prompts_name ? std::string("REFRAIN_PROMPTS") : name;
    return name == "REFRAIN_MODEL" || name == "REFRAIN_RUNS" ||
           std::find(needed.begin(), needed.end(), variable) != needed.end();
  };
  Words missing, meanings;
  for (auto const& [name, meaning] : std::array{
           Variable{"REFRAIN_MODEL", "the Hugging Face folder or checkpoint to start from"},
           Variable{"REFRAIN_PAIRS", "the preference files"}, Variable{"REFRAIN_RUNS", "the folder for run folders"},
           Variable{"REFRAIN_STUDY", "the training configurations, such as dpo_8b_balanced"},
           Variable{prompts_name,
                    split == "dev" ? "prompts to choose by, none of the test's" : "the evaluation prompts"},
           Variable{"REFRAIN_GUARDS", "the judges and their models, such as llama-guard-3=/models/guard"}}) {
    if (!is_needed(name) || !value_of(environment, name).empty()) continue;
    missing.emplace_back(name);
    meanings.push_back(std::string(name) + "=" + meaning);
  }
  if (!missing.empty())
    throw UsageError("not set: " + joined(missing),
                     "export in env/site.sh or the submitting shell: " + joined(meanings));

  auto const paths = [&](std::string const& name) {
    return is_needed(name) ? split_paths(value_of(environment, name), name) : Words{};
  };
  Settings settings;
  settings.model = std::filesystem::absolute(value_of(environment, "REFRAIN_MODEL"));
  settings.runs = std::filesystem::absolute(value_of(environment, "REFRAIN_RUNS"));
  settings.pairs = paths("REFRAIN_PAIRS");
  settings.prompts = paths(prompts_name);
  if (split == "dev") {
    settings.split = split;
    // The test's own need not be here.
    auto tests = split_words(value_of(environment, "REFRAIN_PROMPTS"), "REFRAIN_PROMPTS");
    tests.push_back(value_of(environment, "REFRAIN_PROMPTS"));
    for (auto const& test : tests)
      for (auto const& dev : settings.prompts)
        if (std::filesystem::weakly_canonical(test) == std::filesystem::weakly_canonical(dev))
          throw UsageError("REFRAIN_DEV_PROMPTS names a file of REFRAIN_PROMPTS",
                           "nothing is chosen by the test's prompts: name others", {.file = dev});
  }
  for (auto const& [words, name] : word_lists) settings.*words = split_words(value_of(environment, name), name);
  settings.judge = value_of(environment, "REFRAIN_JUDGE");
  settings.tensor_parallel = get_number<int>(environment, "REFRAIN_TENSOR_PARALLEL", "4");
  settings.launcher = value_of(environment, "REFRAIN_LAUNCHER");
  if (auto const sweep = value_of(environment, "REFRAIN_SWEEP"); !sweep.empty()) settings.sweep = sweep;
  settings.disk_tb = get_number<double>(environment, "REFRAIN_DISK_TB", "12.5");
  if (!std::filesystem::is_directory(settings.model))
    throw UsageError("REFRAIN_MODEL names no folder", "set it to a Hugging Face folder or a checkpoint",
                     {.file = settings.model});
  return settings;
}

}  // namespace refrain::study

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/option_text.hpp>
#include <refrain/study/program_options.hpp>

#include <ranges>

namespace refrain::study {

namespace {

/// What a variable's options are for.
struct Use {
  std::string program;
  Words set_by_the_study;
};

Use const& use_of(std::string const& variable) {
  Words const judge{"--judge",    "--checkpoint", "--endpoint",       "--model", "--responses",
                    "--verdicts", "--out",        "--language-model", "--guards"};
  static std::map<std::string, Use> const table{
      {"REFRAIN_TRAIN_ARGS", {"train", {"--pairs", "--init", "--run-dir", "--tensor-parallel"}}},
      {"REFRAIN_SHARD_ARGS", {"shard", {"--pairs", "--tokenizer", "--configuration", "--out", "--prompts"}}},
      {"REFRAIN_PROMPT_ARGS", {"shard", {"--pairs", "--prompts", "--tokenizer", "--out"}}},
      {"REFRAIN_GENERATE_ARGS", {"generate", {"--checkpoint", "--adapter", "--prompts", "--out", "--tensor-parallel"}}},
      {"REFRAIN_JUDGE_ARGS", {"judge", judge}},
      {"REFRAIN_ADJUDICATOR_ARGS", {"judge", judge}},
      {"REFRAIN_REPORT_ARGS", {"report", {"--verdicts", "--runs", "--dev-verdicts"}}},
      {"REFRAIN_ARCHIVE_ARGS", {"archive create", {"--out", "--add", "--replace"}}}};
  return table.at(variable);
}

/// @throws Error for an option that the program does not have
void require_known(Words const& args, std::string const& program, std::string const& called) {
  Words names{"config"}, known;  // which all programs have
  for (auto const& name : program_options(program) | std::views::keys) names.push_back(name);
  for (auto const& name : names) known.push_back("--" + name);
  auto const unknown = without_options(args, known, called);
  if (unknown.empty()) return;
  auto const name = unknown.front().substr(0, unknown.front().find('='));
  throw Error(called + " has " + name + ", which is no option of refrain-" + program,
              option_text::suggestion(name.substr(2), names, "--", "docs/options.md lists them"));
}

}  // namespace

std::map<std::string, std::string> program_options(std::string const& program) {
  auto const file = data_file("study/program_options.json");
  auto const table = json_get<Json>(read_json(file), program, file);
  std::map<std::string, std::string> options;
  for (auto const& [name, written] : table.items()) options[name] = json_get<std::string>(table, name, file);
  return options;
}

Words add_args(Words const& options, Words const& args, ArgsSource const& source) {
  auto const& use = use_of(source.variable);
  bool const is_key = source.called != source.variable;
  std::string const sweep = is_key ? "the sweep" : "the sweep (REFRAIN_SWEEP)";
  merge_options({}, args, source.swept, source.called,
                "take it out; " + sweep + " sets beta, learning rate, seed and what its table names");
  auto all = merge_options(options, args, use.set_by_the_study, source.called,
                           is_key ? "take it out" : "take it out; docs/cluster.md says which variable it comes from");
  require_known(args, use.program, source.called);
  return all;
}

}  // namespace refrain::study

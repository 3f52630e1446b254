#include <refrain/base/error.hpp>
#include <refrain/study/made_checks.hpp>
#include <refrain/study/member.hpp>
#include <refrain/study/pairs.hpp>
#include <refrain/study/prompts.hpp>
#include <refrain/study/shared_file.hpp>
#include <refrain/study/starts.hpp>

#include <algorithm>
#include <charconv>
#include <map>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// The options that each program compares itself when it goes on: the identity of a run, of answers, of verdicts.
Words const& deciding_options(std::string const& program) {
  static std::map<std::string, Words> const options{
      {"refrain-train", {"--init",        "--loss",         "--beta",         "--label-smoothing",    "--sft-weight",
                         "--epochs",      "--max-steps",    "--seed",         "--global-batch-pairs", "--shuffle",
                         "--eval-pairs",  "--eval-every",   "--dtype",        "--grad-dtype",         "--learning-rate",
                         "--lr-schedule", "--warmup-ratio", "--lora-rank",    "--lora-alpha",         "--lora-targets",
                         "--lora-rslora", "--init-adapter", "--weight-decay", "--max-grad-norm"}},
      {"refrain-generate",
       {"--prompts", "--include-category", "--max-new-tokens", "--temperature", "--top-p", "--top-k", "--samples",
        "--seed", "--stop", "--dtype"}},
      {"refrain-judge",
       {"--judge", "--checkpoint", "--adapter", "--model", "--language-model", "--chat-template", "--show-prompt",
        "--dtype"}}};
  return options.at(program);
}

std::optional<double> number_in(std::string const& text) {
  double number = 0;
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size()) return {};
  return number;
}

/// Whether two values of an option say the same: 1e-6 and 0.000001, a folder and a link to it.
bool is_same(std::string const& a, std::string const& b) {
  if (a == b) return true;
  if (auto const number = number_in(a)) return number == number_in(b);
  std::error_code missing;
  return fs::equivalent(a, b, missing) && !missing;
}

/// The option with its values as a person writes it; empty where the line has none of this name.
Words option_in(Words const& options, std::string const& name) {
  constexpr char const* what = "a line of the study";
  if (pick_options(options, {name}, what).empty()) return {};
  Words option{name};
  auto const values = option_values(options, name, what);
  option.insert(option.end(), values.begin(), values.end());
  return option;
}

std::string how_to_rename(std::string const& otherwise) {
  return "give the study's file another name, or remove " + otherwise;
}

}  // namespace

std::string other_options(fs::path const& work, Words const& line) {
  auto const name = fs::path(line.front()).filename();
  auto const then = Starts(work).finished_with(name.string());
  if (then.empty()) return {};
  Words const now(line.begin() + 1, line.end());
  for (auto const& option : deciding_options(name.string())) {
    auto const before = option_in(then, option), after = option_in(now, option);
    if (std::equal(before.begin(), before.end(), after.begin(), after.end(), is_same)) continue;
    if (after.empty()) return "made with " + join_words(before) + ", which the study does not say";
    return "made " + (before.empty() ? "without " + option : "with " + join_words(before)) + ", and the study says " +
           join_words(after);
  }
  return {};
}

void check_training(std::string const& job, Subject const& subject, Configuration const& configuration,
                    SweepMember const& member, Settings const& settings) {
  auto const folder = subject.folder.parent_path();
  auto const otherwise =
      fs::exists(subject.folder / "run.json") &&
              was_made_from_others(pairs_file(
                  shard_line(program("shard"), configuration, settings, folder / "pairs.h5"), settings, folder))
          ? "trained on pairs.h5 of other files or options of refrain-shard than the study names"
      : RunFolder(subject.folder).state() == "finished"  // a folder that was removed left its record of starts
          ? other_options(subject.folder, train_line(configuration, member, settings))
          : std::string{};
  if (!otherwise.empty())
    throw Error(job + " was " + otherwise, how_to_rename("this folder to train it again"), {.file = subject.folder});
}

void check_answers(std::string const& job, Subject const& subject, Subject const& base, Settings const& settings) {
  if (!fs::exists(subject.responses())) return;
  auto const prompts = find_prompts(settings, base);
  Words line{program("generate").string(), "--prompts", prompts.file.string()};
  line.insert(line.end(), settings.generate_args.begin(), settings.generate_args.end());
  auto const otherwise = !prompts.line.empty() && was_made_from_others(prompts_file(prompts, settings))
                             ? "made with prompts.h5 of other files or options of refrain-shard than the study names"
                             : other_options(subject.responses(), line);
  if (!otherwise.empty())
    throw Error(job + " was " + otherwise, how_to_rename("it, verdicts.h5 and verdicts/ beside it to make them again"),
                {.file = subject.responses()});
}

void check_verdicts(std::string const& job, RowsProgram const& judge) {
  for (auto const& out : judge.outs)
    if (auto const otherwise = fs::exists(out) ? other_options(out, judge.line) : std::string{}; !otherwise.empty())
      throw Error(job + " was " + otherwise, how_to_rename("these verdicts of all models to make them again"),
                  {.file = out});
}

}  // namespace refrain::study

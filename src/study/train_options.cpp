#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/option_text.hpp>
#include <refrain/base/table.hpp>
#include <refrain/study/program_options.hpp>
#include <refrain/study/train_options.hpp>

#include <algorithm>
#include <cctype>
#include <set>
#include <sstream>

namespace refrain::study {

namespace {

/// What the study gives refrain-train itself, and what asks for a plan instead of a run.
std::set<std::string> const reserved{"pairs", "init",    "run-dir",       "tensor-parallel", "resume",  "plan",
                                     "nodes", "machine", "gpus-per-node", "plan-pairs",      "plan-out"};

/// The names in "auto|on|off"; none where the value is something else.
std::vector<std::string> choices_of(std::string const& written) {
  bool const is_choice = written.find('|') != std::string::npos &&
                         std::none_of(written.begin(), written.end(), [](unsigned char c) { return std::isupper(c); });
  std::vector<std::string> choices;
  if (!is_choice) return choices;
  std::istringstream parts(written);
  for (std::string part; std::getline(parts, part, '|');) choices.push_back(part);
  return choices;
}

std::string word_of_choice(std::string const& name, std::vector<std::string> const& choices, Json const& value,
                           Place const& place) {
  // JSON has words of its own for switches.
  auto const word = value.is_boolean()  ? std::string(value.get<bool>() ? "on" : "off")
                    : value.is_string() ? value.get<std::string>()
                                        : std::string{};
  if (std::find(choices.begin(), choices.end(), word) != choices.end()) return word;
  throw Error(name + " is " + dump_text(value) + ", not one of " + joined(choices),
              option_text::suggestion(word, choices, "", "correct the table"), place);
}

Words list_of(std::string const& name, Json const& value, Place const& place) {
  Json const list = value.is_array() ? value : Json::array({value});
  Words words;
  for (auto const& word : list)
    if (word.is_string() && !word.get_ref<std::string const&>().empty()) words.push_back(word.get<std::string>());
  if (words.empty() || words.size() != list.size())
    throw Error(name + " is " + dump_text(value) + ", neither a word nor a list of words", "correct the table", place);
  return words;
}

}  // namespace

TrainOptions TrainOptions::load() {
  TrainOptions options;
  options.written_ = program_options("train");
  return options;
}

std::string TrainOptions::find(std::string const& key, std::filesystem::path const& table) const {
  std::string name = key;
  std::replace(name.begin(), name.end(), '_', '-');
  Place const place{.file = table, .object = key};
  if (name == "tensor-parallel")
    throw Error("the sweep sets " + key + ", which the study sets itself", "export REFRAIN_TENSOR_PARALLEL", place);
  if (reserved.contains(name))
    throw Error("the sweep sets " + key + ", which the study sets itself", "take it out of the table", place);
  if (written_.contains(name)) return name;
  std::vector<std::string> names;
  for (auto const& [known, written] : written_)
    if (!reserved.contains(known)) names.push_back(known);
  throw Error("'" + key + "' is no option of refrain-train",
              // The names of run folders have lr.
              key == "lr" ? "did you mean learning-rate?"
                          : option_text::suggestion(name, names, "", "docs/options.md lists them"),
              place);
}

Words TrainOptions::value_words(std::string const& name, Json const& value, std::filesystem::path const& table) const {
  auto const& written = written_.at(name);
  Place const place{.file = table, .object = name};
  auto const wrong = [&](std::string const& what) {
    return Error(name + " is " + dump_text(value) + ", not " + what, "correct the table", place);
  };
  if (auto const choices = choices_of(written); !choices.empty()) return {word_of_choice(name, choices, value, place)};
  if (written == "N") {
    if (!value.is_number_integer()) throw wrong("a whole number");
    return {dump_text(value)};
  }
  if (written == "X") {
    if (!value.is_number()) throw wrong("a number");
    return {format_number(value.get<double>())};
  }
  if (written.ends_with("...")) return list_of(name, value, place);
  if (!value.is_string() || value.get_ref<std::string const&>().empty()) throw wrong("a text");
  return {value.get<std::string>()};
}

}  // namespace refrain::study

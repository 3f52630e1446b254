#include <refrain/base/files.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/option_text.hpp>
#include <refrain/base/options.hpp>

#include <boost/program_options.hpp>

#include <algorithm>
#include <fstream>
#include <map>
#include <ostream>
#include <sstream>

namespace refrain {
namespace {

namespace po = boost::program_options;

constexpr auto long_only = po::command_line_style::allow_long | po::command_line_style::long_allow_adjacent |
                           po::command_line_style::long_allow_next;

bool is_builtin(std::string const& name) {
  return name == "help" || name == "version" || name == "config" || name == "help-markdown";
}

}  // namespace

OptionTable::OptionTable(std::string program, std::string summary)
    : program_(std::move(program)), summary_(std::move(summary)) {}

OptionTable& OptionTable::command(std::string& chosen, std::string name, std::string summary) {
  chosen_name_ = &chosen;
  commands_.push_back({std::move(name), std::move(summary)});
  declaring_ = static_cast<int>(commands_.size()) - 1;
  group_ = "Options";
  return *this;
}

OptionTable& OptionTable::group(std::string title) {
  group_ = std::move(title);
  return *this;
}

OptionTable::Option& OptionTable::push(std::string name, std::string help, std::string meta) {
  Option option;
  option.name = std::move(name);
  option.help = std::move(help);
  option.meta = std::move(meta);
  option.group = group_;
  option.command = declaring_;
  options_.push_back(std::move(option));
  return options_.back();
}

OptionTable& OptionTable::positional(std::string meta, std::vector<std::string>& value, std::string help, int least,
                                     int most) {
  positionals_.push_back({std::move(meta), std::move(help), declaring_, least, most, &value});
  return *this;
}

OptionTable& OptionTable::required(std::string unless) {
  options_.back().required = true;
  options_.back().required_unless = std::move(unless);
  options_.back().default_text.clear();
  return *this;
}

OptionTable::Option const* OptionTable::find(std::string const& name) const {
  Option const* elsewhere = nullptr;
  for (Option const& option : options_) {
    if (option.name != name) continue;
    if (applies(option.command)) return &option;
    elsewhere = &option;
  }
  return elsewhere;
}

std::vector<std::string> OptionTable::names() const {
  std::vector<std::string> names = {"help", "version", "config"};
  for (Option const& option : options_)
    if (applies(option.command)) names.push_back(option.name);
  return names;
}

std::string OptionTable::invocation(int command) const {
  std::string const name = command >= 0 ? commands_[static_cast<std::size_t>(command)].name : "";
  return "refrain-" + program_ + (name.empty() ? "" : " " + name);
}

int OptionTable::choose_command(int argc, char const* const* argv) {
  std::string const word = argc > 1 && argv[1][0] != '-' ? argv[1] : "";
  auto const found =
      std::find_if(commands_.begin(), commands_.end(), [&](Command const& command) { return command.name == word; });
  if (found == commands_.end()) {
    std::vector<std::string> names;
    for (Command const& command : commands_)
      if (!command.name.empty()) names.push_back(command.name);
    std::string const list = joined(names);
    if (word.empty()) throw UsageError("a command is missing", "put one of these first: " + list);
    throw UsageError("unknown command '" + word + "'",
                     option_text::suggestion(word, names, "", "commands are " + list));
  }
  chosen_ = static_cast<int>(found - commands_.begin());
  *chosen_name_ = word;
  return word.empty() ? 0 : 1;
}

void OptionTable::assign_from(std::string const& name, std::vector<std::string> const& values,
                              std::string const& file) {
  // In a file the key is named by itself, on the command line as it is written there.
  std::string const written = file.empty() ? "--" + name : "'" + name + "'";
  Place const place = file.empty() ? Place{} : Place{.file = file, .object = name};
  Option const* const option = find(name);
  if (!option || is_builtin(name)) {
    throw UsageError(
        "unknown option " + written,
        option_text::suggestion(name, names(), file.empty() ? "--" : "", "see " + invocation() + " --help"), place);
  }
  if (!applies(option->command))
    throw UsageError("option " + written + " belongs to " + invocation(option->command) + ", not to " + invocation(),
                     "see " + invocation() + " --help", place);
  if (values.size() > 1 && !option->many)
    throw UsageError("option " + written + " is given " +
                         (values.size() == 2 ? "twice" : std::to_string(values.size()) + " times"),
                     "give it once", place);
  try {
    option->assign(values);
  } catch (Error const& error) {
    throw UsageError(written + ": " + error.problem(), error.remedy(), place);
  }
  given_.push_back(name);
}

void OptionTable::read_config(std::filesystem::path const& path) {
  require_readable_file(path, "--config");
  std::ifstream file(path);
  std::map<std::string, std::vector<std::string>> values;
  std::vector<std::string> order;
  try {
    for (auto const& entry : po::parse_config_file(file, po::options_description(), true).options) {
      std::string key = entry.string_key;
      // A section may bear the program's or the command's name.
      for (std::string const& section :
           {program_, chosen_ >= 0 ? commands_[static_cast<std::size_t>(chosen_)].name : program_})
        if (key.starts_with(section + ".")) key.erase(0, section.size() + 1);
      if (!values.contains(key)) order.push_back(key);
      auto& all = values[key];
      all.insert(all.end(), entry.value.begin(), entry.value.end());
    }
  } catch (po::invalid_config_file_syntax const& error) {
    throw UsageError("the line '" + error.tokens() + "' is not KEY = VALUE", "write lines like: seed = 42",
                     {.file = path});
  }
  for (std::string const& key : order)
    if (!given(key)) assign_from(key, values[key], path.string());
}

void OptionTable::assign_words(std::vector<std::string> const& words) {
  auto rest = words.begin();
  for (Positional const& positional : positionals_) {
    if (!applies(positional.command)) continue;
    positional.value->clear();
    while (rest != words.end() && (positional.most < 0 || std::ssize(*positional.value) < positional.most))
      positional.value->push_back(*rest++);
    if (std::ssize(*positional.value) < positional.least)
      throw UsageError(positional.meta + " is missing", invocation() + " needs it: " + positional.help);
  }
  if (rest == words.end()) return;
  std::string const word = *rest;
  std::string const name = word.substr(std::min(word.find_first_not_of('-'), word.size()));
  if (word.starts_with("-") && !name.empty())
    throw UsageError("unexpected '" + word + "'",
                     option_text::suggestion(name, names(), "--", "options begin with two dashes"));
  throw UsageError("unexpected '" + word + "'", "see " + invocation() + " --help");
}

UsageError OptionTable::needs_value(std::string const& name) const {
  Option const* const option = find(name);
  return UsageError("option --" + name + " needs a value", "write --" + name + " " + (option ? option->meta : "FILE"));
}

bool OptionTable::parse(int argc, char const* const* argv, std::ostream& out) {
  // Help and version are asked for by people whose command line may not be right yet.
  bool const commanded = !commands_.empty();
  bool const may_lack_command =
      std::any_of(commands_.begin(), commands_.end(), [](Command const& command) { return command.name.empty(); });
  for (int i = 1; i < argc; ++i) {
    std::string const word = argv[i];
    if (word == "--") break;
    if (word == "--version") return print_version(out), false;
    if (word == "--help-markdown") return print_reference(out), false;  // for docs/options.md
    if (word != "--help" && word != "-h") continue;
    if (commanded && (argv[1][0] != '-' || may_lack_command)) choose_command(argc, argv);
    return print_help(out), false;
  }
  int const first = std::min(argc, 1 + (commanded ? choose_command(argc, argv) : 0));

  po::options_description described;
  described.add_options()("config", po::value<std::string>());
  for (Option const& option : options_) {
    if (!applies(option.command)) continue;
    if (!option.takes_value)
      described.add_options()(option.name.c_str(), "");
    else if (option.many)
      described.add_options()(option.name.c_str(), po::value<std::vector<std::string>>()->multitoken(), "");
    else
      described.add_options()(option.name.c_str(), po::value<std::string>(), "");
  }
  std::vector<std::string> const words(argv + first, argv + argc);

  std::map<std::string, std::vector<std::string>> values;
  std::vector<std::string> order, loose;
  std::filesystem::path config;
  try {
    auto const parsed = po::command_line_parser(words).options(described).style(long_only).allow_unregistered().run();
    for (auto const& entry : parsed.options) {
      if (entry.position_key >= 0 || entry.string_key.empty()) {
        loose.insert(loose.end(), entry.value.begin(), entry.value.end());
        continue;
      }
      std::string const& key = entry.string_key;
      // Boost takes the next option for the value; a value that does begin with dashes is written --option=--value.
      bool const swallowed = std::any_of(entry.original_tokens.begin() + 1, entry.original_tokens.end(),
                                         [](std::string const& token) { return token.starts_with("--"); });
      if (swallowed) throw needs_value(key);
      if (key == "config") {
        if (!config.empty()) throw UsageError("option --config is given twice", "give it once");
        config = entry.value.at(0);
        continue;
      }
      if (entry.unregistered) assign_from(key, {}, "");
      if (!values.contains(key)) order.push_back(key);
      auto& all = values[key];
      if (entry.value.empty()) all.emplace_back("on");  // a flag
      all.insert(all.end(), entry.value.begin(), entry.value.end());
    }
  } catch (po::error_with_option_name const& error) {
    std::string const written = error.get_option_name();
    std::string const name = written.substr(std::min(written.find_first_not_of('-'), written.size()));
    Option const* const option = find(name);
    if (option && !option->takes_value)
      throw UsageError("option --" + name + " takes no value", "write --" + name + " alone");
    throw needs_value(name);
  } catch (po::error const& error) {
    throw UsageError(error.what(), "see " + invocation() + " --help");
  }
  for (std::string const& name : order) assign_from(name, values[name], "");
  assign_words(loose);
  if (!config.empty()) read_config(config);
  for (Option const& option : options_)
    if (applies(option.command) && option.required && !given(option.name) && !given(option.required_unless))
      throw lacks(option);
  return true;
}

UsageError OptionTable::lacks(Option const& option) const {
  auto const add = "add " + spelled(option) + ": " + option.help;
  if (option.required_unless.empty()) return UsageError("option --" + option.name + " is missing", add);
  return UsageError("neither --" + option.name + " nor --" + option.required_unless + " is given",
                    add + "; or " + spelled(*find(option.required_unless)));
}

bool OptionTable::given(std::string const& name) const {
  return std::find(given_.begin(), given_.end(), name) != given_.end();
}

nlohmann::ordered_json OptionTable::record() const {
  Json record = Json::object();
  if (chosen_ >= 0 && !chosen_name_->empty()) record["command"] = *chosen_name_;
  for (Positional const& positional : positionals_)
    if (applies(positional.command)) record[positional.meta] = *positional.value;
  for (Option const& option : options_)
    if (applies(option.command)) record[option.name] = option.value();
  return record;
}

}  // namespace refrain

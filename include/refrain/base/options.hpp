#pragma once

#include <refrain/base/error.hpp>

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace refrain {

/// One enumerator and its spelling on the command line.
template <class E>
struct Choice {
  E value;
  char const* name;
};

/// Specialise `choices` for an enum that an option takes: a constexpr array of Choice<E>.
template <class E>
struct EnumChoices;

/// The spelling of an enumerator. @pre EnumChoices<E> lists it
template <class E>
std::string choice_name(E value) {
  for (auto const& choice : EnumChoices<E>::choices)
    if (choice.value == value) return choice.name;
  return "?";
}

/// Limits of a number; the message for a value outside names them.
template <class T>
struct Range {
  std::optional<T> least, most;
  bool least_excluded = false;  ///< `least` itself is outside
};

/// The options of one job, declared once and bound to the fields of its options struct. They give parsing, `--help`,
/// `--config FILE`, the record kept in every output, and the reference page of docs/.
///
/// Options declared before the first `command` belong to all commands. `--help`, `--version`, `--config` and
/// `--help-markdown` are there by themselves.
class OptionTable {
public:
  /// `program` is the name without "refrain-".
  OptionTable(std::string program, std::string summary);

  /// Starts a subcommand: `refrain-convert import`. The name that was chosen is written to `chosen`.
  OptionTable& command(std::string& chosen, std::string name, std::string summary);
  /// Starts what the program does where no subcommand is named, beside those that it has: `refrain-report --verdicts`.
  /// `chosen` is empty then.
  OptionTable& without_command(std::string& chosen) { return command(chosen, "", summary_); }
  /// Starts a titled group of options in `--help`.
  OptionTable& group(std::string title);

  /// An option `--name`. What `value` holds now is the default that `--help` shows; `meta` is how `--help` writes the
  /// option's value. `value` must live until the table is parsed and its record taken. Lists take one value or several,
  /// and may be given several times; an empty path is refused.
  OptionTable& add(std::string name, std::string& value, std::string help, std::string meta = "TEXT");
  OptionTable& add(std::string name, std::filesystem::path& value, std::string help, std::string meta = "PATH");
  OptionTable& add(std::string name, std::vector<std::string>& value, std::string help, std::string meta = "TEXT...");
  OptionTable& add(std::string name, std::vector<std::filesystem::path>& value, std::string help,
                   std::string meta = "FILE...");
  OptionTable& add(std::string name, int64_t& value, std::string help, Range<int64_t> range = {});
  OptionTable& add(std::string name, int& value, std::string help, Range<int64_t> range = {});
  OptionTable& add(std::string name, double& value, std::string help, Range<double> range = {});
  OptionTable& add(std::string name, std::optional<int64_t>& value, std::string help, Range<int64_t> range = {});
  OptionTable& add(std::string name, std::optional<double>& value, std::string help, Range<double> range = {});
  /// A switch, written on or off.
  OptionTable& add(std::string name, bool& value, std::string help);
  /// A flag without a value.
  OptionTable& flag(std::string name, bool& value, std::string help);

  /// One of the names in EnumChoices<E>.
  template <class E>
    requires std::is_enum_v<E>
  OptionTable& add(std::string name, E& value, std::string help) {
    std::vector<std::string> names;
    for (auto const& choice : EnumChoices<E>::choices) names.emplace_back(choice.name);
    return add_choice(
        std::move(name), std::move(names), std::move(help), choice_name(value),
        [&value](std::string const& text) {
          for (auto const& choice : EnumChoices<E>::choices)
            if (text == choice.name) value = choice.value;
        },
        [&value] { return choice_name(value); });
  }

  /// The same where none need be chosen.
  template <class E>
    requires std::is_enum_v<E>
  OptionTable& add(std::string name, std::optional<E>& value, std::string help) {
    std::vector<std::string> names;
    for (auto const& choice : EnumChoices<E>::choices) names.emplace_back(choice.name);
    return add_choice(
        std::move(name), std::move(names), std::move(help), value ? choice_name(*value) : "",
        [&value](std::string const& text) {
          for (auto const& choice : EnumChoices<E>::choices)
            if (text == choice.name) value = choice.value;
        },
        [&value] { return value ? choice_name(*value) : ""; });
  }

  /// Words without a leading `--`, between `least` and `most` of them (-1: any number).
  OptionTable& positional(std::string meta, std::vector<std::string>& value, std::string help, int least,
                          int most = -1);
  /// The option declared last must be given, unless the one named `unless` is.
  OptionTable& required(std::string unless = {});

  /// Sets the bound fields. Prints and returns false for `--help`, `--version` and `--help-markdown`.
  /// @throws UsageError naming the option, the value and what would be right
  bool parse(int argc, char const* const* argv, std::ostream& out);

  /// The name without "refrain-".
  std::string const& program() const noexcept { return program_; }

  /// Whether the command line or the configuration file gave this option.
  bool given(std::string const& name) const;

  /// Every option of the chosen command with its value, for `provenance`.
  nlohmann::ordered_json record() const;

  /// Reference page in Markdown.
  void print_reference(std::ostream& out) const;

private:
  struct Option {
    std::string name, help, meta, group, default_text;
    int command = -1;  ///< index into commands_; -1 is every command
    bool takes_value = true, many = false, required = false;
    std::string required_unless;
    std::function<void(std::vector<std::string> const&)> assign;
    std::function<nlohmann::ordered_json()> value;
  };
  struct Command {
    std::string name, summary;
  };
  struct Positional {
    std::string meta, help;
    int command, least, most;
    std::vector<std::string>* value;
  };

  OptionTable& add_choice(std::string name, std::vector<std::string> names, std::string help, std::string default_text,
                          std::function<void(std::string const&)> assign, std::function<std::string()> value);
  Option& push(std::string name, std::string help, std::string meta);
  bool applies(int command) const { return command < 0 || command == chosen_; }
  Option const* find(std::string const& name) const;  ///< of the chosen command if it has it, else of another
  std::vector<std::string> names() const;             ///< of the chosen command's options
  std::vector<Option const*> listed() const;          ///< the chosen command's options, group by group
  std::string invocation() const { return invocation(chosen_); }
  std::string invocation(int command) const;  ///< "refrain-convert import"
  std::string usage_line() const;
  static std::string spelled(Option const& option);  ///< "--beta N"
  static std::string help_text(Option const& option);
  static std::string needed_text(Option const& option);  ///< "required", and unless what
  void print_commands(std::ostream& out) const;
  void print_help(std::ostream& out) const;
  void print_version(std::ostream& out) const;
  /// @returns how many words of the command line the command's name takes
  int choose_command(int argc, char const* const* argv);
  void assign_from(std::string const& name, std::vector<std::string> const& values, std::string const& file);
  void assign_words(std::vector<std::string> const& words);
  UsageError needs_value(std::string const& name) const;
  UsageError lacks(Option const& option) const;
  void read_config(std::filesystem::path const& path);

  std::string program_, summary_, group_ = "Options";
  std::vector<Option> options_;
  std::vector<Command> commands_;
  std::vector<Positional> positionals_;
  std::vector<std::string> given_;
  std::string* chosen_name_ = nullptr;
  int declaring_ = -1, chosen_ = -1;
};

}  // namespace refrain

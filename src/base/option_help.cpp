// `--help`, `--version` and the reference page of docs/.
#include <refrain/base/json_file.hpp>
#include <refrain/base/option_text.hpp>
#include <refrain/base/options.hpp>
#include <refrain/base/provenance.hpp>

#include <algorithm>
#include <ostream>

namespace refrain {
namespace {

constexpr std::size_t page_width = 100;
constexpr std::size_t help_column = 34;

void print_entry(std::ostream& out, std::string const& left, std::string const& help) {
  out << "  " << left;
  // A long left side has a line of its own.
  if (left.size() + 4 > help_column)
    out << "\n" << std::string(help_column, ' ');
  else
    out << std::string(help_column - left.size() - 2, ' ');
  out << option_text::wrapped(help, help_column, page_width) << "\n";
}

}  // namespace

std::string OptionTable::usage_line() const {
  std::string line = invocation();
  if (!commands_.empty() && chosen_ < 0) return line + " COMMAND [OPTION...]";
  for (Option const& option : options_)
    if (applies(option.command) && option.required) line += " " + spelled(option);
  for (Positional const& positional : positionals_)
    if (applies(positional.command))
      line += positional.least > 0 ? " " + positional.meta : " [" + positional.meta + "]";
  return line + " [OPTION...]";
}

std::vector<OptionTable::Option const*> OptionTable::listed() const {
  // Groups in the order in which they were begun; a group that is begun twice stays together.
  std::vector<Option const*> listed;
  for (Option const& option : options_)
    if (applies(option.command)) listed.push_back(&option);
  std::vector<std::string> groups;
  for (Option const* option : listed)
    if (std::find(groups.begin(), groups.end(), option->group) == groups.end()) groups.push_back(option->group);
  std::stable_sort(listed.begin(), listed.end(), [&](Option const* a, Option const* b) {
    return std::find(groups.begin(), groups.end(), a->group) < std::find(groups.begin(), groups.end(), b->group);
  });
  return listed;
}

std::string OptionTable::spelled(Option const& option) {
  return "--" + option.name + (option.meta.empty() ? "" : " " + option.meta);
}

std::string OptionTable::needed_text(Option const& option) {
  return option.required_unless.empty() ? "required" : "required without --" + option.required_unless;
}

std::string OptionTable::help_text(Option const& option) {
  if (option.required) return option.help + " (" + needed_text(option) + ")";
  return option.default_text.empty() ? option.help : option.help + " [" + option.default_text + "]";
}

void OptionTable::print_commands(std::ostream& out) const {
  out << "\nCommands:\n";
  for (Command const& command : commands_)
    if (!command.name.empty()) print_entry(out, command.name, command.summary);
  out << "\nrefrain-" << program_ << " COMMAND --help lists the options of one.\n";
}

void OptionTable::print_help(std::ostream& out) const {
  std::string const& summary = chosen_ >= 0 ? commands_[static_cast<std::size_t>(chosen_)].summary : summary_;
  out << "Usage: " << option_text::wrapped(usage_line(), 7, page_width) << "\n\n"
      << option_text::wrapped(summary, 0, page_width) << "\n";
  if (chosen_ < 0 && !commands_.empty()) return print_commands(out);
  bool first = true;
  for (Positional const& positional : positionals_) {
    if (!applies(positional.command)) continue;
    if (std::exchange(first, false)) out << "\nArguments:\n";
    print_entry(out, positional.meta, positional.help);
  }
  std::string group;
  for (Option const* option : listed()) {
    if (option->group != group) out << "\n" << option->group << ":\n";
    group = option->group;
    print_entry(out, spelled(*option), help_text(*option));
  }
  out << "\nEvery job:\n";
  print_entry(out, "--config FILE", "an INI file that sets any of these; the command line wins");
  print_entry(out, "--help", "this text");
  print_entry(out, "--version", "version, git revision and libraries");
  print_entry(out, "--help-markdown", "the options of all commands, as in docs/options.md");
  if (!commands_.empty() && chosen_name_->empty()) print_commands(out);
}

void OptionTable::print_version(std::ostream& out) const {
  out << "refrain-" << program_ << " " << version() << " (git " << git_revision() << ")\n";
  Json const libraries = library_versions();
  for (auto const& [name, found] : libraries.items()) out << "  " << name << " " << found.get<std::string>() << "\n";
}

void OptionTable::print_reference(std::ostream& out) const {
  OptionTable page = *this;
  auto const cell = [](std::string text) {
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, 1, '\\');
    return text;
  };
  auto const print_options = [&] {
    out << "\n    " << page.usage_line() << "\n";
    for (Positional const& positional : page.positionals_)
      if (page.applies(positional.command)) out << "\n`" << positional.meta << "`: " << positional.help << "\n";
    std::string group;
    for (Option const* option : page.listed()) {
      if (option->group != group)
        out << "\n" << option->group << ":\n\n| option | what it does | default |\n| --- | --- | --- |\n";
      group = option->group;
      out << "| `" << cell(spelled(*option)) << "` | " << cell(option->help) << " | "
          << (option->required ? needed_text(*option) : cell(option->default_text)) << " |\n";
    }
  };
  out << "# refrain-" << program_ << "\n\n" << summary_ << "\n";
  if (commands_.empty()) return print_options();
  for (std::size_t i = 0; i < commands_.size(); ++i) {
    page.chosen_ = static_cast<int>(i);
    if (!commands_[i].name.empty()) out << "\n## " << page.invocation() << "\n\n" << commands_[i].summary << "\n";
    print_options();
  }
}

}  // namespace refrain

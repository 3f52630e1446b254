#include <refrain/base/error.hpp>
#include <refrain/study/words.hpp>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include <glob.h>

namespace refrain::study {

namespace {

/// `--name` of a word, or nothing if it is a value.
std::string option_name(std::string const& word) {
  return word.starts_with("--") ? word.substr(0, word.find('=')) : std::string{};
}

/// The options of a line, each with its values.
std::vector<Words> group_options(Words const& words, std::string const& what) {
  std::vector<Words> groups;
  for (auto const& word : words)
    if (!option_name(word).empty())
      groups.push_back({word});
    else if (groups.empty())
      throw Error("'" + word + "' in " + what + " is no option", "begin with --name; quote values that hold spaces");
    else
      groups.back().push_back(word);
  return groups;
}

enum class Keep { named, others };

Words options_where(Words const& options, Words const& names, Keep keep, std::string const& what) {
  Words kept;
  for (auto const& group : group_options(options, what)) {
    bool const named = std::find(names.begin(), names.end(), option_name(group.front())) != names.end();
    if (named == (keep == Keep::named)) kept.insert(kept.end(), group.begin(), group.end());
  }
  return kept;
}

}  // namespace

Words split_words(std::string_view text, std::string const& what) {
  Words words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char const c = text[i];
    if (quote != '\'' && c == '\\' && i + 1 < text.size()) {
      // Inside double quotes a shell takes a backslash literally unless it stands before one of these.
      if (quote == '"' && text[i + 1] != '"' && text[i + 1] != '\\' && text[i + 1] != '$') word += c;
      word += text[++i];
      in_word = true;
    } else if (quote) {
      if (c == quote)
        quote = 0;
      else
        word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote)
    throw Error(what + " has a " + quote + " that is not closed", std::string("close it, or write \\") + quote);
  if (in_word) words.push_back(std::move(word));
  return words;
}

std::string join_words(Words const& words) {
  std::string line;
  for (auto const& word : words) {
    if (!line.empty()) line += ' ';
    bool const plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) || std::string_view("_-+=.,:/@%").find(c) != std::string::npos;
    });
    if (plain) {
      line += word;
      continue;
    }
    line += '\'';
    for (char const c : word) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return line;
}

Words split_paths(std::string const& text, std::string const& what) {
  if (std::filesystem::exists(text)) return {text};
  Words paths;
  for (auto const& word : split_words(text, what)) {
    glob_t found{};
    if (std::filesystem::exists(word))
      paths.push_back(word);
    else if (glob(word.c_str(), 0, nullptr, &found) == 0)
      paths.insert(paths.end(), found.gl_pathv, found.gl_pathv + found.gl_pathc);
    else
      throw UsageError(what + " names a file that does not exist", "quote paths that hold spaces", {.file = word});
    globfree(&found);
  }
  return paths;
}

Words pick_options(Words const& options, Words const& names, std::string const& what) {
  return options_where(options, names, Keep::named, what);
}

Words without_options(Words const& options, Words const& names, std::string const& what) {
  return options_where(options, names, Keep::others, what);
}

Words option_values(Words const& options, std::string const& name, std::string const& what) {
  Words values;
  for (auto const& group : group_options(options, what)) {
    if (option_name(group.front()) != name) continue;
    values.assign(group.begin() + 1, group.end());
    if (auto const equals = group.front().find('='); equals != std::string::npos)
      values.insert(values.begin(), group.front().substr(equals + 1));
  }
  return values;
}

std::optional<int64_t> option_number(Words const& options, std::string const& name, std::string const& what) {
  auto const values = option_values(options, name, what);
  if (values.empty()) return {};
  auto const& text = values.back();
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value > 0 ? std::optional(value) : std::nullopt;
}

Words merge_options(Words const& options, Words const& extra, Words const& reserved, std::string const& what,
                    std::string const& remedy) {
  auto const added = group_options(extra, what);
  auto const names = [](Words const& group) { return option_name(group.front()); };
  for (auto const& group : added)
    if (std::find(reserved.begin(), reserved.end(), names(group)) != reserved.end())
      throw Error(what + " sets " + names(group) + ", which the study sets itself", remedy);
  Words merged;
  for (auto const& group : group_options(options, "the configuration")) {
    bool const replaced =
        std::any_of(added.begin(), added.end(), [&](Words const& other) { return names(other) == names(group); });
    if (!replaced) merged.insert(merged.end(), group.begin(), group.end());
  }
  for (auto const& group : added) merged.insert(merged.end(), group.begin(), group.end());
  return merged;
}

}  // namespace refrain::study

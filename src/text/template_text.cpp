#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/text/pipeline.hpp>
#include <refrain/text/template_text.hpp>

namespace refrain::text {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n'; }

/// The inside of a tag: runs of white space as one space, none at the ends; strings as they are but for \n.
std::string canonical_tag(std::string_view inside) {
  std::string out;
  char quote = 0;
  for (std::size_t i = 0; i < inside.size(); ++i) {
    char const c = inside[i];
    if (quote) {
      if (c == '\\' && i + 1 < inside.size()) {
        char const escaped = inside[++i];
        if (escaped == 'n')
          out += '\n';
        else
          out.append(1, c).append(1, escaped);
        continue;
      }
      if (c == quote) quote = 0;
      out += c;
    } else if (is_space(c)) {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else {
      if (c == '\'' || c == '"') quote = c;
      out += c;
    }
  }
  if (!quote && !out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

bool opens_tag(std::string_view text) {
  return text.starts_with("{{") || text.starts_with("{%") || text.starts_with("{#");
}

/// The sign that trims text outside of a tag, "-" or "+", at the start or end of its inside; or "".
std::string_view trim_sign(std::string_view inside, bool at_end = false) {
  if (inside.empty()) return {};
  std::string_view const sign = at_end ? inside.substr(inside.size() - 1) : inside.substr(0, 1);
  return sign == "-" || sign == "+" ? sign : std::string_view();
}

/// Where the tag that opens at `open` ends: behind `close`, which may stand in a string before.
std::size_t tag_end(std::string_view text, std::size_t open, std::string_view close) {
  char quote = 0;
  bool const comment = close == "#}";
  for (std::size_t i = open + 2; i < text.size(); ++i) {
    char const c = text[i];
    if (comment && !text.substr(i).starts_with(close)) continue;
    if (quote && c == '\\')
      ++i;
    else if (quote)
      quote = c == quote ? 0 : quote;
    else if (c == '\'' || c == '"')
      quote = c;
    else if (text.substr(i).starts_with(close))
      return i + close.size();
  }
  return text.size();
}

}  // namespace

TemplateText read_template_text(std::filesystem::path const& folder) {
  if (auto const file = folder / "chat_template.jinja"; std::filesystem::exists(file)) return {read_file(file), file};
  auto const file = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(file)) return {};
  Json const config = read_json(file);
  if (!config.is_object() || !config.contains("chat_template") || config["chat_template"].is_null()) return {};
  Json const& value = config["chat_template"];
  if (value.is_string()) return {value.get<std::string>(), file};
  if (value.is_array())
    for (Json const& entry : value)
      if (json_get<std::string>(entry, "name", file) == "default")
        return {json_get<std::string>(entry, "template", file), file};
  throw Error("'chat_template' is neither a text nor a list with one named default", "correct the file",
              {.file = file, .object = "chat_template"});
}

std::string template_digest(std::string_view text) {
  std::string const lines = replace_all(replace_all(text, "\r\n", "\n"), "\r", "\n");
  std::string_view rest = lines;
  if (rest.ends_with('\n')) rest.remove_suffix(1);
  std::string canonical;
  while (!rest.empty()) {
    std::size_t open = rest.find('{');
    while (open != rest.npos && !opens_tag(rest.substr(open))) open = rest.find('{', open + 1);
    canonical.append(rest.substr(0, open));
    if (open == rest.npos) break;
    bool const comment = rest[open + 1] == '#';
    std::string_view const close = comment ? "#}" : rest[open + 1] == '{' ? "}}" : "%}";
    std::size_t const end = tag_end(rest, open, close);
    std::string_view inside = rest.substr(open + 2, end - open - 2);
    if (inside.ends_with(close)) inside.remove_suffix(2);
    std::string_view const left = trim_sign(inside), right = trim_sign(inside.substr(left.size()), true);
    inside = inside.substr(left.size(), inside.size() - left.size() - right.size());
    canonical.append(rest.substr(open, 2)).append(left);
    if (!comment) canonical += canonical_tag(inside);
    canonical.append(right).append(close);
    rest.remove_prefix(end);
  }
  return sha256(canonical);
}

}  // namespace refrain::text

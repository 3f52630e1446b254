#include "template_form.hpp"

#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/text/pipeline.hpp>

#include <algorithm>

namespace refrain::text {
namespace {

namespace fs = std::filesystem;

constexpr char const* form_is = "see docs/chat-templates.md for the form";

/// Throws for a key that the form does not know: a misspelt one would change the text in silence.
void require_known_keys(Json const& object, std::vector<std::string> const& known, std::string const& what,
                        fs::path const& path) {
  if (!object.is_object())
    throw Error("'" + what + "' should be an object", "correct the file", {.file = path, .object = what});
  for (auto const& [key, value] : object.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw Error("a chat template has no '" + key + "' in '" + what + "'", form_is, {.file = path, .object = key});
}

/// A text, or a list of its lines.
std::string read_text(Json const& object, std::string const& key, fs::path const& path) {
  if (!object.contains(key) || !object[key].is_array()) return json_get_or<std::string>(object, key, "", path);
  return joined(json_get<std::vector<std::string>>(object, key, path), "\n");
}

TurnForm read_turn(Json const& value, fs::path const& path) {
  return {read_text(value, "prefix", path), read_text(value, "suffix", path), json_get<bool>(value, "strip", path)};
}

SystemForm read_system(Json const& system, fs::path const& path) {
  require_known_keys(system, {"place", "prefix", "suffix", "strip", "default"}, "system", path);
  SystemForm form{read_turn(system, path), SystemPlace::turn, std::nullopt};
  auto const place = json_get<std::string>(system, "place", path);
  if (place == "first_turn")
    form.place = SystemPlace::first_turn;
  else if (place != "turn")
    throw Error("'place' is '" + place + "', should be turn or first_turn", "correct the file",
                {.file = path, .object = "system"});
  if (system.contains("default")) form.fallback = json_get<std::string>(system, "default", path);
  return form;
}

TemplateUse read_use(Json const& json, fs::path const& path) {
  auto const use = json_get_or<std::string>(json, "use", "chat", path);
  if (use == "guard") return TemplateUse::guard;
  if (use != "chat")
    throw Error("'use' is '" + use + "', should be chat or guard", "correct the file", {.file = path, .object = "use"});
  return TemplateUse::chat;
}

/// Applies what the template of that digest has otherwise to `json`.
void apply_variant(Json& json, std::string const& digest, TemplateForm& form, fs::path const& path) {
  for (Json const& known : json_get_or<std::vector<Json>>(json, "stands_for", {}, path)) {
    require_known_keys(known, {"digest", "text", "with"}, "stands_for", path);
    form.has_variants = form.has_variants || known.contains("with");
    if (json_get<std::string>(known, "digest", path) != digest) continue;
    form.stands_for_text = true;
    json.merge_patch(json_get_or<Json>(known, "with", Json::object(), path));
  }
}

/// A date that is named and never written, or written and not named, is a slip.
void check_date(TemplateForm const& form, fs::path const& path) {
  auto const texts = form.own_texts();
  bool const written =
      std::any_of(texts.begin(), texts.end(), [](std::string const& text) { return text.find("{date}") != text.npos; });
  if (!form.date.empty() && !is_template_date(form.date))
    throw Error("'date' is '" + form.date + "', not a day like 26 Jul 2024", "correct the file",
                {.file = path, .object = "date"});
  if (written == form.date.empty())
    throw Error(written ? "{date} is written, and there is no 'date'"
                        : "there is a 'date', and {date} is written nowhere",
                form_is, {.file = path, .object = "date"});
}

}  // namespace

TemplateForm TemplateForm::read(fs::path const& path, std::string const& digest) {
  Json json = read_json(path);
  TemplateForm form;
  if (json.is_object()) apply_variant(json, digest, form, path);
  require_known_keys(json,
                     {"name", "about", "use", "begin", "policy", "date", "system", "turns", "role_names",
                      "refused_roles", "exact_roles", "alternate", "end", "generation_prompt", "stands_for"},
                     "template", path);
  form.name = json_get<std::string>(json, "name", path);
  form.use = read_use(json, path);
  form.begin = read_text(json, "begin", path);
  form.policy = read_text(json, "policy", path);
  form.end = read_text(json, "end", path);
  form.generation_prompt = read_text(json, "generation_prompt", path);
  form.date = json_get_or<std::string>(json, "date", "", path);
  form.alternate = json_get_or<bool>(json, "alternate", false, path);
  form.refused_roles = json_get_or<std::vector<std::string>>(json, "refused_roles", {}, path);
  form.exact_roles = json_get_or<std::vector<std::string>>(json, "exact_roles", {}, path);
  Json const names = json_get_or<Json>(json, "role_names", Json::object(), path);
  for (auto const& [role, name] : names.items()) form.role_names[role] = json_get<std::string>(names, role, path);
  Json const turns = json_get_or<Json>(json, "turns", nullptr, path);
  if (!turns.is_object() || turns.empty())
    throw Error("'turns' should name at least one role", "correct the file", {.file = path, .object = "turns"});
  for (auto const& [role, turn] : turns.items()) {
    require_known_keys(turn, {"prefix", "suffix", "strip"}, "turns." + role, path);
    form.turns[role] = read_turn(turn, path);
  }
  if (json.contains("system")) form.system = read_system(json["system"], path);
  check_date(form, path);
  return form;
}

std::vector<std::string> TemplateForm::own_texts() const {
  std::vector<std::string> texts{begin, policy};
  auto const add_turn = [&](std::string const& role, TurnForm const& form) {
    for (std::string const& text : {form.prefix, form.suffix})
      texts.push_back(role == "*" ? text : replace_all(text, "{role}", name_of(role)));
  };
  if (system) add_turn("system", system->form);
  for (auto const& [role, form] : turns) add_turn(role, form);
  texts.push_back(end);
  texts.push_back(replace_all(generation_prompt, "{role}", name_of("assistant")));
  return texts;
}

TurnForm const& TemplateForm::form_of(std::string const& role) const {
  bool const refused = std::find(refused_roles.begin(), refused_roles.end(), role) != refused_roles.end();
  auto found = turns.find(role);
  if (found == turns.end()) found = turns.find("*");
  if (refused || found == turns.end())
    throw Error("chat template " + name + " has no form for a turn of role '" + role + "'",
                "leave such conversations out, or give another --chat-template");
  return found->second;
}

std::string const& TemplateForm::name_of(std::string const& role) const {
  auto const found = role_names.find(role);
  return found == role_names.end() ? role : found->second;
}

}  // namespace refrain::text

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/text/chat_template.hpp>
#include <refrain/text/pipeline.hpp>
#include <refrain/text/template_text.hpp>
#include <refrain/text/unicode.hpp>

#include <algorithm>
#include <map>
#include <optional>

namespace refrain::text {
namespace {

namespace fs = std::filesystem;

/// How one turn is written; the placeholders {bos}, {eos} and {role} may stand in prefix and suffix.
struct TurnForm {
  std::string prefix, suffix;
  bool strip = false;
};

/// Where the system text goes.
enum class SystemPlace {
  turn,        ///< a turn of its own, first
  first_turn,  ///< into the first turn's text, before that is stripped
};

struct SystemForm {
  TurnForm form;
  SystemPlace place = SystemPlace::turn;
  std::optional<std::string> fallback;  ///< the text where the caller gives none; without it nothing is written then
};

/// Throws for a key that the form does not know: a misspelt one would change the text in silence.
void require_known_keys(Json const& object, std::vector<std::string> const& known, std::string const& what,
                        fs::path const& path) {
  if (!object.is_object())
    throw Error("'" + what + "' should be an object", "correct the file", {.file = path, .object = what});
  for (auto const& [key, value] : object.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw Error("a chat template has no '" + key + "' in '" + what + "'", "see docs/chat-templates.md for the form",
                  {.file = path, .object = key});
}

TurnForm read_form(Json const& value, fs::path const& path) {
  return {json_get_or<std::string>(value, "prefix", "", path), json_get_or<std::string>(value, "suffix", "", path),
          json_get<bool>(value, "strip", path)};
}

/// The shipped families: file name without .json, in alphabetical order.
std::map<std::string, fs::path> shipped_templates() {
  std::map<std::string, fs::path> found;
  for (auto const& entry : fs::directory_iterator(data_file("text/templates/llama-3.json").parent_path()))
    if (entry.path().extension() == ".json") found[entry.path().stem().string()] = entry.path();
  return found;
}

std::string names_of(std::map<std::string, fs::path> const& shipped) {
  std::string out;
  for (auto const& [name, path] : shipped) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

struct ChatTemplate::State {
  std::string name;
  fs::path path;
  std::string begin, generation_prompt;
  std::optional<SystemForm> system;
  std::map<std::string, TurnForm> turns;  ///< by role; "*" for every other role
  std::vector<std::string> refused_roles;
  bool alternate = false;
  std::vector<std::string> digests;  ///< of the Jinja templates that it stands for

  static State read(fs::path const& path);
  TurnForm const& form_of(std::string const& role) const;
};

ChatTemplate::State ChatTemplate::State::read(fs::path const& path) {
  Json const json = read_json(path);
  require_known_keys(
      json,
      {"name", "about", "begin", "system", "turns", "refused_roles", "alternate", "generation_prompt", "stands_for"},
      "template", path);
  State state;
  state.path = path;
  state.name = json_get<std::string>(json, "name", path);
  state.begin = json_get_or<std::string>(json, "begin", "", path);
  state.generation_prompt = json_get_or<std::string>(json, "generation_prompt", "", path);
  state.alternate = json_get_or<bool>(json, "alternate", false, path);
  state.refused_roles = json_get_or<std::vector<std::string>>(json, "refused_roles", {}, path);
  Json const turns = json_get<Json>(json, "turns", path);
  if (!turns.is_object() || turns.empty())
    throw Error("'turns' should name at least one role", "correct the file", {.file = path, .object = "turns"});
  for (auto const& [role, form] : turns.items()) {
    require_known_keys(form, {"prefix", "suffix", "strip"}, "turns." + role, path);
    state.turns[role] = read_form(form, path);
  }
  if (json.contains("system")) {
    Json const system = json_get<Json>(json, "system", path);
    require_known_keys(system, {"place", "prefix", "suffix", "strip", "default"}, "system", path);
    SystemForm form{read_form(system, path), SystemPlace::turn, std::nullopt};
    auto const place = json_get<std::string>(system, "place", path);
    if (place == "first_turn")
      form.place = SystemPlace::first_turn;
    else if (place != "turn")
      throw Error("'place' is '" + place + "', should be turn or first_turn", "correct the file",
                  {.file = path, .object = "system"});
    if (system.contains("default")) form.fallback = json_get<std::string>(system, "default", path);
    state.system = std::move(form);
  }
  for (Json const& known : json_get_or<std::vector<Json>>(json, "stands_for", {}, path))
    state.digests.push_back(json_get<std::string>(known, "digest", path));
  return state;
}

TurnForm const& ChatTemplate::State::form_of(std::string const& role) const {
  bool const refused = std::find(refused_roles.begin(), refused_roles.end(), role) != refused_roles.end();
  auto found = turns.find(role);
  if (found == turns.end()) found = turns.find("*");
  if (refused || found == turns.end())
    throw Error("chat template " + name + " has no form for a turn of role '" + role + "'",
                "leave such conversations out, or give another --chat-template");
  return found->second;
}

ChatTemplate::ChatTemplate(std::unique_ptr<State> state) : state_(std::move(state)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

ChatTemplate ChatTemplate::load(std::string const& choice, fs::path const& tokenizer_folder) {
  auto const shipped = shipped_templates();
  auto const make = [](fs::path const& path) { return ChatTemplate(std::make_unique<State>(State::read(path))); };
  if (auto const named = shipped.find(choice); named != shipped.end()) return make(named->second);
  if (choice != "auto") {
    if (choice.ends_with(".json") || choice.find('/') != choice.npos) return make(choice);
    throw UsageError("there is no chat template '" + choice + "'",
                     "--chat-template takes auto, one of " + names_of(shipped) + ", or a JSON file");
  }
  std::string const remedy =
      "name one of the same form with --chat-template NAME|FILE.json; NAME is one of " + names_of(shipped);
  TemplateText const own = read_template_text(tokenizer_folder);
  if (own.text.empty()) throw Error("the model has no chat template", remedy, {.file = tokenizer_folder});
  std::string const digest = template_digest(own.text);
  for (auto const& [name, path] : shipped) {
    State state = State::read(path);
    if (std::find(state.digests.begin(), state.digests.end(), digest) != state.digests.end())
      return ChatTemplate(std::make_unique<State>(std::move(state)));
  }
  throw Error("the model's chat template (digest " + digest.substr(0, 12) + ") is none that is known", remedy,
              {.file = own.file});
}

std::string const& ChatTemplate::name() const noexcept { return state_->name; }

std::string ChatTemplate::render(std::vector<Turn> const& turns, bool add_generation_prompt,
                                 std::string const& bos_token, std::string const& eos_token) const {
  State const& form = *state_;
  if (turns.empty()) throw Error("a conversation without turns", "leave it out");
  std::string out;
  auto const fill = [&](std::string const& text, std::string const& role) {
    for (auto const& [mark, token] : {std::pair{"bos", &bos_token}, std::pair{"eos", &eos_token}})
      if (token->empty() && text.find("{" + std::string(mark) + "}") != text.npos)
        throw Error("chat template " + form.name + " needs " + mark + "_token, which the tokenizer lacks",
                    "add it to tokenizer_config.json");
    return replace_all(replace_all(replace_all(text, "{bos}", bos_token), "{eos}", eos_token), "{role}", role);
  };
  auto const write = [&](TurnForm const& turn, std::string const& role, std::string_view content) {
    out += fill(turn.prefix, role);
    out += turn.strip ? strip(content) : content;
    out += fill(turn.suffix, role);
  };

  out += fill(form.begin, "");
  std::size_t first = 0;
  std::optional<std::string> system;
  if (form.system) {
    system = form.system->fallback;
    if (turns[0].role == "system") {
      system = turns[0].content;
      first = 1;
    }
    if (system && form.system->place == SystemPlace::turn) write(form.system->form, "system", *system);
  }
  for (std::size_t i = first; i < turns.size(); ++i) {
    Turn const& turn = turns[i];
    TurnForm const& turn_form = form.form_of(turn.role);
    if (form.alternate && (turn.role == "user") != ((i - first) % 2 == 0))
      throw Error("roles do not alternate: turn " + std::to_string(i + 1) + " is of role '" + turn.role + "'",
                  "chat template " + form.name + " wants user, assistant, user, ... behind a system turn");
    if (i == first && system && form.system->place == SystemPlace::first_turn) {
      std::string_view const text = form.system->form.strip ? strip(*system) : std::string_view(*system);
      std::string merged = fill(form.system->form.prefix, "system");
      merged.append(text).append(fill(form.system->form.suffix, "system")).append(turn.content);
      write(turn_form, turn.role, merged);
    } else {
      write(turn_form, turn.role, turn.content);
    }
  }
  if (add_generation_prompt) out += fill(form.generation_prompt, "assistant");
  return out;
}

}  // namespace refrain::text

#include <refrain/base/error.hpp>
#include <refrain/text/special_tokens.hpp>

#include <algorithm>
#include <charconv>
#include <map>

namespace refrain::text {
namespace {

namespace fs = std::filesystem;

/// The tokens that have names of their own, in transformers' order.
constexpr char const* named_tokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};

Json read_if_there(fs::path const& path) { return fs::exists(path) ? read_json(path) : Json::object(); }

AddedToken const* find_token(std::vector<AddedToken> const& tokens, std::string const& content) {
  auto const found =
      std::find_if(tokens.begin(), tokens.end(), [&](AddedToken const& token) { return token.content == content; });
  return found == tokens.end() ? nullptr : &*found;
}

std::vector<AddedToken> values_of(std::map<int64_t, AddedToken> const& by_id) {
  std::vector<AddedToken> out;
  for (auto const& [id, token] : by_id) out.push_back(token);
  return out;
}

/// A token written as a string, special then, or as an object; content "" where it is null.
AddedToken special_token(Json const& value, std::string const& key, fs::path const& path) {
  AddedToken token;
  token.normalized = false;
  token.special = true;
  if (value.is_string())
    token.content = value.get<std::string>();
  else if (value.is_object())
    token = AddedToken::from_json(value, path);
  else if (!value.is_null())
    throw Error("'" + key + "' is neither a string nor an object", "correct the file", {.file = path, .object = key});
  return token;
}

/// The token that a class gives that name where no file does; "" for none.
std::string token_of_class(TokenizerClass built_as, std::string_view name) {
  bool const named = name == "eos_token" || name == "unk_token" || name == "pad_token";
  return built_as == TokenizerClass::qwen2 && named ? "<|endoftext|>" : "";
}

/// The tokens of tokenizer_config.json's `added_tokens_decoder`, by rising id.
std::vector<AddedToken> added_tokens_decoder(Json const& config, fs::path const& path) {
  std::map<int64_t, AddedToken> by_id;
  Json const tokens = json_get<Json>(config, "added_tokens_decoder", path);
  for (auto const& [key, value] : tokens.items()) {
    int64_t id = -1;
    auto const [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0)
      throw Error("'" + key + "' is not a token id", "correct the file",
                  {.file = path, .object = "added_tokens_decoder"});
    by_id[id] = AddedToken::from_json(value, path);
  }
  return values_of(by_id);
}

/// The first of config.json's ids of that name, or -1.
int32_t first_id(Json const& config, std::string const& key) {
  auto found = config.find(key);
  if (found == config.end() || found->is_null()) return -1;
  Json const& id = found->is_array() && !found->empty() ? found->front() : *found;
  int64_t const value = id.is_number_integer() ? id.get<int64_t>() : -1;
  return value >= 0 && value <= INT32_MAX ? static_cast<int32_t>(value) : -1;
}

/// The older added_tokens.json, content to id: those that tokenizer.json does not have, by rising id.
std::vector<AddedToken> tokens_of_older_file(fs::path const& path, std::vector<AddedToken> const& of_tokenizer,
                                             Json const& config) {
  std::map<int64_t, AddedToken> by_id;
  Json const file = read_if_there(path);
  for (auto const& [content, id] : file.items()) {
    AddedToken token;
    token.content = content;
    token.special = std::any_of(std::begin(named_tokens), std::end(named_tokens), [&](char const* name) {
      return config.contains(name) && special_token(config[name], name, path).content == token.content;
    });
    token.normalized = !token.special;
    if (!find_token(of_tokenizer, content)) by_id[json_get<int64_t>(file, content, path)] = token;
  }
  return values_of(by_id);
}

}  // namespace

SpecialTokens SpecialTokens::read(fs::path const& folder, TokenizerClass built_as,
                                  std::vector<AddedToken> const& of_tokenizer) {
  fs::path const config_path = folder / "tokenizer_config.json", map_path = folder / "special_tokens_map.json";
  Json const config = read_if_there(config_path);
  SpecialTokens out;
  out.split_special_tokens = json_get_or<bool>(config, "split_special_tokens", false, config_path);

  std::vector<AddedToken> known = of_tokenizer;
  Json map = Json::object();
  if (config.contains("added_tokens_decoder")) {
    out.without_own = built_as != TokenizerClass::as_written;
    known = out.added = added_tokens_decoder(config, config_path);
  } else {
    map = read_if_there(map_path);  // transformers reads these two only then
    out.added = tokens_of_older_file(folder / "added_tokens.json", of_tokenizer, config);
  }
  std::size_t const first_special = out.added.size();
  for (char const* name : named_tokens) {
    bool const in_map = map.contains(name);
    Json const& source = in_map ? map : config;
    Json const& value = source.contains(name) ? source[name] : Json(token_of_class(built_as, name));
    AddedToken token = special_token(value, name, in_map ? map_path : config_path);
    if (std::string_view(name) == "bos_token") out.bos = token.content;
    if (std::string_view(name) == "eos_token") out.eos = token.content;
    if (token.content.empty()) continue;
    // Its flags are those of the token of this content, where there is one.
    if (AddedToken const* same = find_token(known, token.content)) token = *same;
    token.special = true;
    out.added.push_back(std::move(token));
  }
  for (auto const& [key, value] : config.items())
    if (bool const named = std::find(std::begin(named_tokens), std::end(named_tokens), key) != std::end(named_tokens);
        !named && key.ends_with("_token") && value.is_string())
      out.added.push_back(special_token(value, key, config_path));
  for (char const* name : {"extra_special_tokens", "additional_special_tokens"})
    for (Json const* source : std::initializer_list<Json const*>{&config, &map})
      if (source->contains(name) && (*source)[name].is_structured())
        for (Json const& value : (*source)[name])
          out.added.push_back(special_token(value, name, source == &map ? map_path : config_path));

  // Qwen2Tokenizer adds its special tokens once more, without flags.
  if (built_as == TokenizerClass::qwen2)
    for (std::size_t i = first_special; i < out.added.size(); ++i)
      out.added[i] = special_token(out.added[i].content, "content", config_path);

  fs::path const model_config = folder / "config.json";
  if (!config.contains("bos_token") && !map.contains("bos_token"))
    out.bos_by_id = first_id(read_if_there(model_config), "bos_token_id");
  if (!config.contains("eos_token") && !map.contains("eos_token") && out.eos.empty())
    out.eos_by_id = first_id(read_if_there(model_config), "eos_token_id");
  return out;
}

}  // namespace refrain::text

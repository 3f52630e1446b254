#include <refrain/base/error.hpp>
#include <refrain/text/special_tokens.hpp>

#include <algorithm>
#include <charconv>

namespace refrain::text {
namespace {

namespace fs = std::filesystem;

/// The tokens that have names of their own, in transformers' order.
constexpr char const* kNamed[] = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

Json read_if_there(fs::path const& path) { return fs::exists(path) ? read_json(path) : Json::object(); }

/// A special token written as a string or as an object; content "" where it is null.
AddedToken special_token(Json const& value, std::string const& key, fs::path const& path) {
  AddedToken token;
  token.normalized = false;
  if (value.is_string()) token.content = value.get<std::string>();
  else if (value.is_object()) token = AddedToken::from_json(value, path);
  else if (!value.is_null()) throw Error("'" + key + "' is neither a string nor an object", "correct the file", {.file = path, .object = key});
  token.special = true;
  token.id = -1;
  return token;
}

std::vector<AddedToken> added_tokens_decoder(Json const& config, fs::path const& path) {
  std::vector<AddedToken> tokens;
  Json const by_id = json_get<Json>(config, "added_tokens_decoder", path);
  for (auto const& [key, value] : by_id.items()) {
    AddedToken token = AddedToken::from_json(value, path);
    auto const [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
    if (error != std::errc() || end != key.data() + key.size() || token.id < 0)
      throw Error("'" + key + "' is not a token id", "correct the file", {.file = path, .object = "added_tokens_decoder"});
    tokens.push_back(std::move(token));
  }
  std::sort(tokens.begin(), tokens.end(), [](AddedToken const& a, AddedToken const& b) { return a.id < b.id; });
  return tokens;
}

/// The first of config.json's ids of that name, as a token.
std::string token_by_id(Json const& config, std::string const& key, std::function<std::string(int32_t)> const& token_of) {
  auto found = config.find(key);
  if (found == config.end() || found->is_null()) return {};
  Json const& id = found->is_array() && !found->empty() ? found->front() : *found;
  return id.is_number_integer() && id.get<int64_t>() >= 0 && id.get<int64_t>() <= INT32_MAX ? token_of(id.get<int32_t>()) : "";
}

}  // namespace

SpecialTokens SpecialTokens::read(fs::path const& folder, std::vector<AddedToken> const& of_tokenizer,
                                  std::function<std::string(int32_t)> const& token_of) {
  fs::path const config_path = folder / "tokenizer_config.json", map_path = folder / "special_tokens_map.json";
  Json const config = read_if_there(config_path);
  SpecialTokens out;
  out.split_special_tokens = json_get_or<bool>(config, "split_special_tokens", false, config_path);

  std::vector<AddedToken> known = of_tokenizer;
  Json map = Json::object();
  if (config.contains("added_tokens_decoder")) {
    known = added_tokens_decoder(config, config_path);
    out.added = known;
  } else {
    map = read_if_there(map_path);  // transformers reads it only then
  }
  // The flags of a special token are those of the token of this content, where there is one.
  auto const add = [&](AddedToken token) {
    if (token.content.empty()) return;
    auto const same = std::find_if(known.begin(), known.end(), [&](AddedToken const& other) { return other.content == token.content; });
    if (same != known.end()) token = *same;
    token.special = true;
    out.added.push_back(std::move(token));
  };
  for (char const* name : kNamed) {
    bool const in_map = map.contains(name);
    Json const& source = in_map ? map : config;
    if (!source.contains(name)) continue;
    AddedToken const token = special_token(source[name], name, in_map ? map_path : config_path);
    if (std::string(name) == "bos_token") out.bos = token.content;
    if (std::string(name) == "eos_token") out.eos = token.content;
    add(token);
  }
  for (char const* name : {"extra_special_tokens", "additional_special_tokens"})
    for (Json const* source : std::initializer_list<Json const*>{&config, &map})
      if (source->contains(name) && (*source)[name].is_structured())
        for (Json const& value : (*source)[name]) add(special_token(value, name, source == &map ? map_path : config_path));

  if (!config.contains("bos_token") && !map.contains("bos_token"))
    out.bos = token_by_id(read_if_there(folder / "config.json"), "bos_token_id", token_of);
  if (!config.contains("eos_token") && !map.contains("eos_token"))
    out.eos = token_by_id(read_if_there(folder / "config.json"), "eos_token_id", token_of);
  return out;
}

}  // namespace refrain::text

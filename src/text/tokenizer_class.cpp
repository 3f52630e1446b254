#include <refrain/text/bpe.hpp>
#include <refrain/text/tokenizer_file.hpp>

namespace refrain::text {
namespace {

namespace fs = std::filesystem;

std::string text_in(fs::path const& path, char const* key) {
  return fs::exists(path) ? json_get_or<std::string>(read_json(path), key, "", path) : "";
}

bool has_byte_level(Json const& component) {
  if (!component.is_object()) return false;
  if (component.value("type", Json()) == "ByteLevel") return true;
  for (char const* list : {"pretokenizers", "decoders"})
    if (component.contains(list) && component[list].is_array())
      for (Json const& step : component[list])
        if (has_byte_level(step)) return true;
  return false;
}

/// As AutoTokenizer decides (transformers 5.23, models/auto/tokenization_auto.py).
TokenizerClass class_of(TokenizerFile const& file, fs::path const& folder) {
  if (text_in(folder / "config.json", "model_type") == "qwen2") return TokenizerClass::qwen2;
  std::string name = text_in(folder / "tokenizer_config.json", "tokenizer_class");
  if (name.empty()) name = text_in(folder / "config.json", "tokenizer_class");
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (name == "Qwen2Tokenizer") return TokenizerClass::qwen2;
  if (name != "LlamaTokenizer") return TokenizerClass::as_written;
  for (char const* part : {"pre_tokenizer", "decoder"})
    if (file.rest.contains(part) && has_byte_level(file.rest[part])) return TokenizerClass::as_written;
  return TokenizerClass::llama;
}

/// transformers 5.23, models/llama/tokenization_llama.py.
void rebuild_as_llama(TokenizerFile& file, Json const& config, fs::path const& config_path) {
  bool const prefix_space = json_get_or<bool>(config, "add_prefix_space", true, config_path);
  bool const legacy = json_get_or<bool>(config, "legacy", false, config_path);
  std::string const mark(word_mark);
  file.rest["normalizer"] = nullptr;
  file.rest["pre_tokenizer"] = {{"type", "Metaspace"},
                                {"replacement", mark},
                                {"prepend_scheme", !prefix_space ? "never"
                                                   : legacy      ? "always"
                                                                 : "first"},
                                {"split", false}};
  Json decoders = Json::array({{{"type", "Replace"}, {"pattern", {{"String", mark}}}, {"content", " "}},
                               {{"type", "ByteFallback"}},
                               {{"type", "Fuse"}}});
  if (prefix_space) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  file.rest["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
  Json& model = file.rest["model"];
  model["fuse_unk"] = model["byte_fallback"] = true;
  model["ignore_merges"] = false;
  model["unk_token"] = model["dropout"] = nullptr;
}

/// transformers 5.23, models/qwen2/tokenization_qwen2.py: GPT-4's pattern, but with digits one by one.
void rebuild_as_qwen2(TokenizerFile& file, Json const& config, fs::path const& config_path) {
  constexpr char const* pattern =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
      R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
  bool const prefix_space = json_get_or<bool>(config, "add_prefix_space", false, config_path);
  file.rest["normalizer"] = {{"type", "NFC"}};
  Json const split = {
      {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  Json const byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", prefix_space}, {"use_regex", false}};
  file.rest["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level})}};
  file.rest["decoder"] = {{"type", "ByteLevel"}};
  Json& model = file.rest["model"];
  model["fuse_unk"] = model["byte_fallback"] = model["ignore_merges"] = false;
  for (char const* absent : {"unk_token", "dropout", "continuing_subword_prefix", "end_of_word_suffix"})
    model[absent] = nullptr;
}

}  // namespace

TokenizerClass apply_tokenizer_class(TokenizerFile& file, fs::path const& folder) {
  TokenizerClass const found = class_of(file, folder);
  fs::path const config_path = folder / "tokenizer_config.json";
  Json const config = fs::exists(config_path) ? read_json(config_path) : Json::object();
  if (found == TokenizerClass::llama) rebuild_as_llama(file, config, config_path);
  if (found == TokenizerClass::qwen2) rebuild_as_qwen2(file, config, config_path);
  return found;
}

}  // namespace refrain::text

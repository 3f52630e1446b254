#include <refrain/text/bpe.hpp>
#include <refrain/text/tokenizer_file.hpp>

namespace refrain::text {
namespace {

namespace fs = std::filesystem;

std::string class_named_in(fs::path const& path) {
  return fs::exists(path) ? json_get_or<std::string>(read_json(path), "tokenizer_class", "", path) : "";
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

}  // namespace

void apply_tokenizer_class(TokenizerFile& file, fs::path const& folder) {
  fs::path const config_path = folder / "tokenizer_config.json";
  std::string name = class_named_in(config_path);
  if (name.empty()) name = class_named_in(folder / "config.json");
  if (name != "LlamaTokenizer" && name != "LlamaTokenizerFast") return;
  for (char const* part : {"pre_tokenizer", "decoder"})
    if (file.rest.contains(part) && has_byte_level(file.rest[part])) return;

  // transformers 5.23, models/llama/tokenization_llama.py
  Json const config = fs::exists(config_path) ? read_json(config_path) : Json::object();
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

}  // namespace refrain::text

#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/text/bpe.hpp>
#include <refrain/text/unicode.hpp>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace refrain::text {

/// A BPE model of tokenizer.json: `tokens` with their places as ids, `merges` by rank.
inline Json bpe_json(std::vector<std::string> const& tokens,
                     std::vector<std::pair<std::string, std::string>> const& merges) {
  Json vocab = Json::object(), pairs = Json::array();
  for (std::size_t id = 0; id < tokens.size(); ++id) vocab[tokens[id]] = id;
  for (auto const& [left, right] : merges) pairs.push_back({left, right});
  return {{"type", "BPE"},          {"unk_token", nullptr}, {"fuse_unk", false},
          {"byte_fallback", false}, {"vocab", vocab},       {"merges", pairs}};
}

/// "▁" for spaces, letters a to f, byte fallback, and words of them; ids: 0 <unk>, 1 <s>, 2 </s>, 3 to 258 bytes, then
/// 259 "▁", 260 a ... 265 f, 266 "▁a", 267 "ab", 268 "▁ab", 269 "cd".
inline Json sentencepiece_json() {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    tokens.push_back(name);
  }
  std::string const mark(word_mark);
  for (char const* token : {"a", "b", "c", "d", "e", "f"}) {
    if (tokens.size() == 259) tokens.push_back(mark);
    tokens.push_back(token);
  }
  for (std::string const& token : {mark + "a", std::string("ab"), mark + "ab", std::string("cd")})
    tokens.push_back(token);
  Json model = bpe_json(tokens, {{"a", "b"}, {mark, "ab"}, {mark, "a"}, {"c", "d"}});
  model["unk_token"] = "<unk>";
  model["byte_fallback"] = model["fuse_unk"] = true;
  auto const special = [](int id, char const* content) {
    return Json{{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  };
  Json const prepend = {{"type", "Prepend"}, {"prepend", mark}};
  Json const replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", mark}};
  Json const spaces = {{"type", "Replace"}, {"pattern", {{"String", mark}}}, {"content", " "}};
  return {{"added_tokens", Json::array({special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")})},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", Json::array({prepend, replace})}}},
          {"pre_tokenizer", nullptr},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders", Json::array({spaces, Json{{"type", "ByteFallback"}}, Json{{"type", "Fuse"}},
                                      Json{{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}})}}},
          {"model", model}};
}

/// All bytes (id = byte), then the merged tokens in their order.
inline Json byte_level_json(std::vector<std::pair<std::string, std::string>> const& merges) {
  std::vector<std::string> tokens(256);
  for (int byte = 0; byte < 256; ++byte)
    append_utf8(tokens[byte], byte_level_character(static_cast<unsigned char>(byte)));
  for (auto const& [left, right] : merges) tokens.push_back(left + right);
  return {{"added_tokens", Json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", bpe_json(tokens, merges)}};
}

}  // namespace refrain::text

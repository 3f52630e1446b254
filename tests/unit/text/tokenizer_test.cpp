#include "fixtures.hpp"
#include "small_tokenizers.hpp"

#include <refrain/text/tokenizer.hpp>

#include <catch2/catch.hpp>

#include <functional>

using namespace refrain;
using namespace refrain::text;
using namespace refrain::testing;

namespace {

using Ids = std::vector<int32_t>;

/// The line of the Error that `call` throws, with the folder's path taken out.
template <class Call>
std::string line_of(Call const& call, TemporaryFolder const& folder) {
  std::string line = message_of(call);
  for (std::size_t at; (at = line.find(folder.path.string() + "/")) != line.npos;)
    line.erase(at, folder.path.string().size() + 1);
  return line;
}

std::string load_line(TemporaryFolder const& folder) {
  return line_of([&] { Tokenizer::load(folder.path); }, folder);
}

Json added(int id, std::string const& content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", false}};
}

/// The small SentencePiece-type tokenizer with one more added token, 270.
Tokenizer with_added(TemporaryFolder const& folder, Json const& token) {
  Json file = sentencepiece_json();
  file["added_tokens"].push_back(token);
  folder.write_json("tokenizer.json", file);
  return Tokenizer::load(folder.path);
}

constexpr char const* way_out = " (tokenise elsewhere and give ready token ids (prompt_ids, chosen_ids, rejected_ids))";

}  // namespace

TEST_CASE("special tokens inside a text become their ids") {
  TemporaryFolder const folder;
  folder.write_json("tokenizer.json", sentencepiece_json());
  Tokenizer const tokenizer = Tokenizer::load(folder.path);
  CHECK(tokenizer.encode("ab</s>ab") == Ids{268, 2, 268});
  CHECK(tokenizer.encode("<s>") == Ids{1});
  CHECK(tokenizer.encode("").empty());
  CHECK(tokenizer.decode({1, 268, 2}, true) == "ab");
  CHECK(tokenizer.decode({1, 268, 2}, false) == "<s> ab</s>");
}

TEST_CASE("added tokens take white space, or want a word to themselves") {
  TemporaryFolder const folder;
  Json token = added(270, "cd");
  CHECK(with_added(folder, token).encode("acda") == Ids{266, 269, 266});  // the model's own id
  token = added(270, "<x>");
  CHECK(with_added(folder, token).encode("a <x> a") == Ids{266, 259, 270, 259, 266});
  token["lstrip"] = true;
  CHECK(with_added(folder, token).encode("a \xE2\x80\xA8<x> a") == Ids{266, 270, 259, 266});
  token["rstrip"] = true;
  CHECK(with_added(folder, token).encode("a <x>\n a") == Ids{266, 270, 266});
  token = added(270, "be");
  token["single_word"] = true;
  Tokenizer const single = with_added(folder, token);
  CHECK(single.encode("be") == Ids{270});
  CHECK(single.encode("bea") == Ids{259, 261, 264, 260});
  CHECK(single.encode("-be-") == Ids{259, 3 + '-', 270, 259, 3 + '-'});
  token = added(270, "b e");
  token["normalized"] = true;
  CHECK(with_added(folder, token).encode("b e") == Ids{270});  // as the normaliser writes it: with a mark before it
  CHECK(with_added(folder, token).encode("ab e") == Ids{268, 259, 264});
}

TEST_CASE("the longest added token at the leftmost place") {
  TemporaryFolder const folder;
  Json file = sentencepiece_json();
  file["added_tokens"].push_back(added(270, "<x>"));
  file["added_tokens"].push_back(added(271, "<x><x>"));
  folder.write_json("tokenizer.json", file);
  CHECK(Tokenizer::load(folder.path).encode("<x><x><x>") == Ids{271, 270});
}

TEST_CASE("bos and eos come from the files beside tokenizer.json") {
  TemporaryFolder const folder;
  folder.write_json("tokenizer.json", sentencepiece_json());
  CHECK(Tokenizer::load(folder.path).bos_token().empty());
  CHECK(Tokenizer::load(folder.path).eos_id() == -1);

  folder.write_json("config.json", {{"bos_token_id", 1}, {"eos_token_id", {2, 0}}});
  CHECK(Tokenizer::load(folder.path).bos_id() == 1);
  CHECK(Tokenizer::load(folder.path).eos_token() == "</s>");

  folder.write_json("tokenizer_config.json", {{"bos_token", added(1, "<s>")}, {"eos_token", "<end>"}});
  Tokenizer const tokenizer = Tokenizer::load(folder.path);
  CHECK(tokenizer.bos_id() == 1);
  CHECK(tokenizer.eos_token() == "<end>");
  CHECK(tokenizer.eos_id() == 270);  // new, behind all others
  CHECK(tokenizer.encode("a<end>") == Ids{266, 270});
  CHECK(tokenizer.vocab_size() == 271);

  folder.write_json("tokenizer_config.json", {{"bos_token", nullptr}, {"split_special_tokens", true}});
  CHECK(Tokenizer::load(folder.path).bos_token().empty());
  CHECK(Tokenizer::load(folder.path).encode("<s>").size() == 4);
}

TEST_CASE("a tokenizer of class LlamaTokenizer marks the first word only, as transformers 5 rebuilds it") {
  TemporaryFolder const folder;
  folder.write_json("tokenizer.json", sentencepiece_json());
  CHECK(Tokenizer::load(folder.path).encode("a<s>a") == Ids{266, 1, 266});
  folder.write_json("tokenizer_config.json", {{"tokenizer_class", "LlamaTokenizer"}});
  CHECK(Tokenizer::load(folder.path).encode("a<s>a") == Ids{266, 1, 260});
}

TEST_CASE("a normaliser of form C, between added tokens and within them") {
  TemporaryFolder const folder;
  Json file = byte_level_json({});
  file["normalizer"] = {{"type", "NFC"}};
  Json token = added(256, "e\xCC\x81!");
  token["normalized"] = true;
  file["added_tokens"].push_back(token);
  file["added_tokens"].push_back(added(257, "a\xCC\x81"));
  folder.write_json("tokenizer.json", file);
  Tokenizer const tokenizer = Tokenizer::load(folder.path);
  CHECK(tokenizer.encode("e\xCC\x81") == Ids{0xC3, 0xA9});
  CHECK(tokenizer.encode("\xC3\xA9!e\xCC\x81!") == Ids{256, 256});
  CHECK(tokenizer.encode("a\xCC\x81\xC3\xA1") == Ids{257, 0xC3, 0xA1});  // not normalised: found as it is written
}

TEST_CASE("a tokenizer of class Qwen2Tokenizer is built anew, as transformers 5 does") {
  TemporaryFolder const folder;
  Json file = byte_level_json({{"1", "2"}});
  file["model"]["ignore_merges"] = true;
  folder.write_json("tokenizer.json", file);
  CHECK(Tokenizer::load(folder.path).encode("12 e\xCC\x81") == Ids{256, ' ', 'e', 0xCC, 0x81});
  Ids const rebuilt{'1', '2', ' ', 0xC3, 0xA9};
  folder.write_json("config.json", {{"model_type", "qwen2"}});
  Tokenizer const tokenizer = Tokenizer::load(folder.path);
  CHECK(tokenizer.encode("12 e\xCC\x81") == rebuilt);
  CHECK(tokenizer.eos_token() == "<|endoftext|>");  // the class's own, where no file names one
  CHECK(tokenizer.eos_id() == 257);
  folder.write_json("config.json", {{"model_type", "llama"}});
  folder.write_json("tokenizer_config.json", {{"tokenizer_class", "Qwen2TokenizerFast"}, {"eos_token", "<end>"}});
  CHECK(Tokenizer::load(folder.path).encode("12 e\xCC\x81") == rebuilt);
  CHECK(Tokenizer::load(folder.path).eos_token() == "<end>");
}

TEST_CASE("special tokens around a text") {
  TemporaryFolder const folder;
  Json file = sentencepiece_json();
  folder.write_json("tokenizer.json", file);
  CHECK(Tokenizer::load(folder.path).encode_with_special("a") == Ids{266});
  file["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", Json::array({{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}}}}})},
      {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {1}}}}}}};
  folder.write_json("tokenizer.json", file);
  CHECK(Tokenizer::load(folder.path).encode_with_special("a") == Ids{1, 266});
}

TEST_CASE("bad text and bad files are named") {
  TemporaryFolder const folder;
  CHECK(load_line(folder).find("tokenizer.json") != std::string::npos);
  folder.write("tokenizer.json", "{\n  \"model\": {\"vocab\": {\"a\": 0,}}}\n");
  CHECK(load_line(folder).find("[tokenizer.json:line 2, column ") != std::string::npos);
  folder.write("tokenizer.json", "");
  CHECK(load_line(folder) == "the file is empty, where JSON is wanted [tokenizer.json] (make it again)");
  folder.write("tokenizer.json", "{\"model\": {}}");
  CHECK(load_line(folder) == "there is no model with a vocabulary in it [tokenizer.json] (give the tokenizer.json that "
                             "belongs to the model)");

  folder.write_json("tokenizer.json", sentencepiece_json());
  Tokenizer const tokenizer = Tokenizer::load(folder.path);
  CHECK(line_of([&] { tokenizer.encode("abc\xFF"); }, folder) ==
        "the text is not UTF-8 at byte 3 (convert it to UTF-8)");
}

TEST_CASE("what is not understood is refused by name") {
  struct Case {
    char const* named;
    std::function<void(Json&)> change;
  };
  for (Case const& bad : std::vector<Case>{
           {"normalizer NFKC", [](Json& file) { file["normalizer"] = {{"type", "NFKC"}}; }},
           {"pre_tokenizer Digits", [](Json& file) { file["pre_tokenizer"] = {{"type", "Digits"}}; }},
           {"decoder WordPiece", [](Json& file) { file["decoder"] = {{"type", "WordPiece"}}; }},
           {"model WordPiece", [](Json& file) { file["model"]["type"] = "WordPiece"; }},
           {"model BPE dropout", [](Json& file) { file["model"]["dropout"] = 0.1; }},
           {"model BPE end_of_word_suffix", [](Json& file) { file["model"]["end_of_word_suffix"] = "</w>"; }}}) {
    TemporaryFolder const folder;
    Json file = sentencepiece_json();
    bad.change(file);
    folder.write_json("tokenizer.json", file);
    CHECK(load_line(folder) == bad.named + std::string(" is not understood [tokenizer.json]") + way_out);
  }
}

TEST_CASE("a merge of tokens that the vocabulary lacks is an error") {
  TemporaryFolder const folder;
  Json file = sentencepiece_json();
  file["model"]["merges"].push_back(Json{"e", "f"});
  folder.write_json("tokenizer.json", file);
  CHECK(load_line(folder) == "merge 4 needs the token 'ef', which the vocabulary lacks [tokenizer.json:model.merges] "
                             "(correct the file)");
}

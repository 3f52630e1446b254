#include "fixtures.hpp"
#include "small_tokenizers.hpp"

#include <refrain/text/tokenizer.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <climits>
#include <map>
#include <random>

using namespace refrain;
using namespace refrain::text;
using namespace refrain::testing;

namespace {

using Merges = std::vector<std::pair<std::string, std::string>>;

/// Merges over a small alphabet, each of two tokens that are there already.
Merges random_merges(int count, std::mt19937& random) {
  std::vector<std::string> tokens = {"a", "b", "c"};
  Merges merges;
  while (static_cast<int>(merges.size()) < count) {
    std::string const left = tokens[random() % tokens.size()], right = tokens[random() % tokens.size()];
    if (left.size() + right.size() > 9 || std::count(tokens.begin(), tokens.end(), left + right) > 0) continue;
    merges.emplace_back(left, right);
    tokens.push_back(left + right);
  }
  return merges;
}

/// The rule itself: merge the leftmost pair of the lowest rank until there is none.
std::vector<int32_t> by_the_rule(std::string const& word, Merges const& merges) {
  std::map<std::pair<std::string, std::string>, int> ranks;
  for (auto const& merge : merges) ranks.emplace(merge, static_cast<int>(ranks.size()));
  std::vector<std::string> parts;
  for (char const c : word) parts.emplace_back(1, c);
  for (;;) {
    int best = -1, best_rank = INT32_MAX;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      auto const found = ranks.find({parts[i], parts[i + 1]});
      if (found != ranks.end() && found->second < best_rank) best = static_cast<int>(i), best_rank = found->second;
    }
    if (best < 0) break;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + best + 1);
  }
  std::vector<int32_t> ids;
  for (std::string const& part : parts) {
    if (part.size() == 1) ids.push_back(static_cast<unsigned char>(part[0]));
    for (std::size_t i = 0; i < merges.size(); ++i)
      if (merges[i].first + merges[i].second == part) ids.push_back(static_cast<int32_t>(256 + i));
  }
  return ids;
}

}  // namespace

TEST_CASE("merges follow the rule, in short words and in long ones") {
  std::mt19937 random(3);
  for (int round = 0; round < 5; ++round) {
    Merges const merges = random_merges(40, random);
    TemporaryFolder const folder;
    folder.write_json("tokenizer.json", byte_level_json(merges));
    Tokenizer const tokenizer = Tokenizer::load(folder.path);
    for (int i = 0; i < 60; ++i) {
      std::string word(1 + random() % (i < 30 ? 20 : 300), 'a');
      for (char& c : word) c = static_cast<char>('a' + random() % 3);
      CAPTURE(word);
      std::vector<int32_t> const expected = by_the_rule(word, merges);
      REQUIRE(tokenizer.encode(word) == expected);
      REQUIRE(tokenizer.encode(word) == expected);  // known by now
    }
  }
}

TEST_CASE("any bytes come back from a byte-level vocabulary") {
  TemporaryFolder const folder;
  folder.write_json("tokenizer.json", byte_level_json({{"a", "b"}}));
  Tokenizer const tokenizer = Tokenizer::load(folder.path);
  std::string const text = "ab \xE2\x82\xAC\n\t \xF0\x9F\x99\x82 it's";
  CHECK(tokenizer.decode(tokenizer.encode(text), true) == text);
  CHECK(tokenizer.encode("ab") == std::vector<int32_t>{256});
  CHECK(tokenizer.decode({0xE2, 0x82, 'x'}, true) == "\xEF\xBF\xBDx");
  CHECK(tokenizer.decode({'a', 9999, -1, 'b'}, true) == "ab");
  CHECK(tokenizer.vocab_size() == 257);
}

TEST_CASE("words of a SentencePiece-type vocabulary, byte fallback and unknowns") {
  TemporaryFolder const folder;
  Json file = sentencepiece_json();
  folder.write_json("tokenizer.json", file);
  Tokenizer const tokenizer = Tokenizer::load(folder.path);
  CHECK(tokenizer.encode("ab acd\xC3\xA9 \xE2\x96\x81"
                         "a") == std::vector<int32_t>{268, 266, 269, 3 + 0xC3, 3 + 0xA9, 259, 266});
  CHECK(tokenizer.decode({268, 266, 269, 3 + 0xC3, 3 + 0xA9}, true) == "ab acd\xC3\xA9");
  CHECK(tokenizer.decode({268, 3 + 0xC3}, true) == "ab\xEF\xBF\xBD");

  file["model"]["byte_fallback"] = false;
  folder.write_json("tokenizer.json", file);
  CHECK(Tokenizer::load(folder.path).encode("axyb") == std::vector<int32_t>{266, 0, 261});
  file["model"]["fuse_unk"] = false;
  folder.write_json("tokenizer.json", file);
  CHECK(Tokenizer::load(folder.path).encode("axyb") == std::vector<int32_t>{266, 0, 0, 261});
}

TEST_CASE("a merge over the start of a word is not lost") {
  TemporaryFolder const folder;
  Json file = sentencepiece_json();
  std::string const over = "b" + std::string(word_mark);
  file["model"]["vocab"][over] = 270;
  file["model"]["merges"].insert(file["model"]["merges"].begin(), Json{"b", std::string(word_mark)});
  folder.write_json("tokenizer.json", file);
  CHECK(Tokenizer::load(folder.path).encode("ab c") == std::vector<int32_t>{266, 270, 262});
}

TEST_CASE("the word cache stays bounded and right") {
  TemporaryFolder const folder;
  folder.write_json("tokenizer.json", byte_level_json({{"1", "2"}, {"3", "4"}}));
  Tokenizer const tokenizer = Tokenizer::load(folder.path);
  for (int i = 0; i < 70'000; ++i) {
    std::string const word = std::to_string(i);
    REQUIRE(tokenizer.decode(tokenizer.encode(word), true) == word);
  }
}

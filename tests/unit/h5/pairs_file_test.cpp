#include "fixtures.hpp"

#include <refrain/h5/pairs_file.hpp>
#include <refrain/h5/prompts_file.hpp>

#include <catch2/catch.hpp>

#include <filesystem>
#include <functional>
#include <limits>

using namespace refrain;
using namespace refrain::h5;
using namespace refrain::testing;

namespace {

/// Two pairs that share a prompt.
Pairs two_pairs() {
  return {.tokens = {10, 11, 12, 20, 21, 30, 40, 50, 51},
          .prompt_begin = {0, 0},
          .chosen_begin = {3, 6},
          .rejected_begin = {5, 7},
          .row_id = {4, std::numeric_limits<int64_t>::max()},
          .prompt_length = {3, 3},
          .chosen_length = {2, 1},
          .rejected_length = {1, 2},
          .id = {"a", ""},
          .language = {"en", "lv"},
          .category = {"S1", ""},
          .style = {"", "slang"}};
}

/// What reading says of pairs that were changed before they were written.
std::string refusal(std::function<void(Pairs&)> const& change) {
  TemporaryFolder const folder;
  Pairs pairs = two_pairs();
  change(pairs);
  auto const path = folder.path / "pairs.h5";
  auto const error = thrown_by([&] {
    write_pairs(path, pairs, Json::object());
    read_pairs(path);
  });
  return error ? error->place().object + ": " + error->problem() : "nothing was thrown";
}

}  // namespace

TEST_CASE("pairs come back as they were written") {
  TemporaryFolder const folder;
  Pairs const pairs = two_pairs();
  write_pairs(folder.path / "pairs.h5", pairs, Json{{"program", "test"}});
  Pairs const back = read_pairs(folder.path / "pairs.h5");
  CHECK(back.tokens == pairs.tokens);
  CHECK(back.prompt_begin == pairs.prompt_begin);
  CHECK(back.rejected_length == pairs.rejected_length);
  CHECK(back.row_id == pairs.row_id);
  CHECK(back.language == pairs.language);
  CHECK(back.style == pairs.style);
  CHECK(read_provenance(folder.path / "pairs.h5")["program"] == "test");
  CHECK_THROWS_AS(read_prompts(folder.path / "pairs.h5"), Error);
}

TEST_CASE("a part outside the tokens, without tokens or with an odd id is refused by row and column") {
  CHECK(refusal([](Pairs& pairs) { pairs.chosen_begin[1] = 9; }) ==
        "/pair/chosen_begin: row 1 begins at 9 and has 1 tokens, the file has 9");
  CHECK(refusal([](Pairs& pairs) { pairs.rejected_begin[0] = -1; }) ==
        "/pair/rejected_begin: row 0 begins at -1 and has 1 tokens, the file has 9");
  CHECK(refusal([](Pairs& pairs) {
          pairs.prompt_begin[1] = std::numeric_limits<int64_t>::max();
        }).starts_with("/pair/prompt_begin: row 1 begins at 9223372036854775807"));
  CHECK(refusal([](Pairs& pairs) { pairs.prompt_length[0] = 0; }) ==
        "/pair/prompt_length: row 0 has a length of 0, the least is 1");
  CHECK(refusal([](Pairs& pairs) { pairs.chosen_length[0] = -2; }) ==
        "/pair/chosen_length: row 0 has a length of -2, the least is 1");
  CHECK(refusal([](Pairs& pairs) { pairs.tokens[5] = -3; }) == "/tokens: token 5 is -3");
  CHECK(refusal([](Pairs& pairs) { pairs.row_id.pop_back(); }) != "nothing was thrown");
}

TEST_CASE("a prompt may be empty") {
  TemporaryFolder const folder;
  auto const path = folder.path / "prompts.h5";
  write_prompts(path,
                {.tokens = {1},
                 .begin = {0, 1},
                 .row_id = {0, 1},
                 .length = {1, 0},
                 .id = {"", ""},
                 .language = {"", ""},
                 .category = {"", ""},
                 .style = {"", ""},
                 .text = {"x", ""}},
                Json::object());
  Prompts const back = read_prompts(path);
  CHECK(back.size() == 2);
  CHECK(back.length == std::vector<int32_t>{1, 0});
  CHECK(back.text == std::vector<std::string>{"x", ""});
  CHECK(back.turns.empty());
}

TEST_CASE("conversations are a column where any prompt has one") {
  TemporaryFolder const folder;
  Prompts prompts{.tokens = {1},
                  .begin = {0},
                  .row_id = {0},
                  .length = {1},
                  .id = {""},
                  .language = {""},
                  .category = {""},
                  .style = {""},
                  .text = {"x"},
                  .turns = {""}};
  write_prompts(folder.path / "none.h5", prompts, Json::object());
  CHECK(read_prompts(folder.path / "none.h5").turns.empty());
  prompts.turns = {"[]"};
  write_prompts(folder.path / "one.h5", prompts, Json::object());
  CHECK(read_prompts(folder.path / "one.h5").turns == prompts.turns);
}

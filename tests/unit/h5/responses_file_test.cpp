#include "fixtures.hpp"

#include <refrain/h5/reader.hpp>
#include <refrain/h5/responses_file.hpp>

#include <catch2/catch.hpp>

#include <functional>

using namespace refrain;
using namespace refrain::h5;
using namespace refrain::testing;

namespace {

/// Two answers to one prompt, one of them empty.
Responses two_answers() {
  return {.tokens = {5, 6, 7},
          .begin = {0, 3},
          .row_id = {4, 4},
          .length = {3, 0},
          .sample = {0, 1},
          .finish = {static_cast<int8_t>(Finish::stop), static_cast<int8_t>(Finish::length)},
          .id = {"a", "a"},
          .language = {"en", "en"},
          .category = {"", ""},
          .style = {"", ""},
          .prompt = {"describe restricted activity 17", "describe restricted activity 17"},
          .text = {"I cannot help with that.", ""}};
}

void write(std::filesystem::path const& path, Responses const& rows, int pieces, TokenIds tokens = TokenIds::kept) {
  ResponsesWriter file(path, Json{{"program", "test"}}, tokens);
  for (int i = 0; i < pieces; ++i) file.append(rows);
  file.finish();
}

std::string refusal(std::function<void(Responses&)> const& change) {
  TemporaryFolder const folder;
  auto rows = two_answers();
  change(rows);
  auto const error = thrown_by([&] {
    write(folder.path / "r.h5", rows, 1);
    read_responses(folder.path / "r.h5");
  });
  return error ? error->place().object + ": " + error->problem() : "nothing was thrown";
}

}  // namespace

TEST_CASE("answers come back as they were written, and pieces find their tokens") {
  TemporaryFolder const folder;
  auto const rows = two_answers();
  write(folder.path / "r.h5", rows, 2);
  auto const back = read_responses(folder.path / "r.h5");
  CHECK(back.tokens == std::vector<int32_t>{5, 6, 7, 5, 6, 7});
  CHECK(back.begin == std::vector<int64_t>{0, 3, 3, 6});
  CHECK(back.length == std::vector<int32_t>{3, 0, 3, 0});
  CHECK(back.sample == std::vector<int32_t>{0, 1, 0, 1});
  CHECK(back.finish == std::vector<int8_t>{0, 1, 0, 1});
  CHECK(back.prompt[3] == rows.prompt[1]);
  CHECK(back.text[2] == rows.text[0]);
  CHECK(Reader(folder.path / "r.h5").provenance()["program"] == "test");
}

TEST_CASE("a server's answers have text and no tokens") {
  TemporaryFolder const folder;
  auto rows = two_answers();
  rows.tokens.clear();
  rows.begin = {0, 0};
  rows.length = {0, 0};
  write(folder.path / "r.h5", rows, 2, TokenIds::none);
  CHECK_FALSE(Reader(folder.path / "r.h5").contains("/tokens"));
  CHECK(read_responses(folder.path / "r.h5").text[2] == rows.text[0]);
}

TEST_CASE("digests of prompts are a column that need not be there") {
  TemporaryFolder const folder;
  auto rows = two_answers();
  write(folder.path / "without.h5", rows, 2);
  CHECK(read_responses(folder.path / "without.h5").prompt_digest.empty());
  rows.prompt_digest = {"a", "b"};
  write(folder.path / "with.h5", rows, 2);
  CHECK(read_responses(folder.path / "with.h5").prompt_digest == std::vector<std::string>{"a", "b", "a", "b"});
}

TEST_CASE("an answer outside the tokens, or of an odd kind, is refused by row and column") {
  CHECK(refusal([](Responses& rows) { rows.begin[1] = 4; }) ==
        "/response/begin: row 1 begins at 4 and has 0 tokens, the file has 3");
  CHECK(refusal([](Responses& rows) { rows.length[0] = -1; }) ==
        "/response/length: row 0 has a length of -1, the least is 0");
  CHECK(refusal([](Responses& rows) { rows.tokens[2] = -1; }) == "/tokens: token 2 is -1");
  CHECK(refusal([](Responses& rows) { rows.sample[1] = -1; }) ==
        "/response/sample: row 1 is -1, outside 0 to 2147483647");
  CHECK(refusal([](Responses& rows) { rows.finish[0] = 3; }) == "/response/finish: row 0 is 3, outside 0 to 2");
  CHECK(refusal([](Responses& rows) { rows.text.pop_back(); }) != "nothing was thrown");
}

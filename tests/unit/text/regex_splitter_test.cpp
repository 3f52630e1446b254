#include "fixtures.hpp"

#include <refrain/text/regex_splitter.hpp>

#include <catch2/catch.hpp>

#include <vector>

using namespace refrain;
using namespace refrain::text;
using namespace refrain::testing;

namespace {

std::vector<std::string> matches(std::string const& pattern, std::string_view text) {
  RegexSplitter const splitter(pattern, "tokenizer.json");
  RegexSplitter::Scratch scratch;
  std::vector<std::string> found;
  for (std::size_t at = 0, begin, end; at < text.size() && splitter.find(text, at, scratch, begin, end); at = end)
    found.emplace_back(text.substr(begin, end - begin));
  return found;
}

std::string refusal(std::string const& pattern) {
  return problem_of([&] { RegexSplitter(pattern, "tokenizer.json"); });
}

}  // namespace

TEST_CASE("white space is Oniguruma's, not PCRE2's") {
  using List = std::vector<std::string>;
  CHECK(matches(R"(\s+)", "a\xC2\x85\xE2\x80\xA8 b\xE1\xA0\x8E"
                          "c") == List{"\xC2\x85\xE2\x80\xA8 "});
  CHECK(matches(R"([^\s\p{L}]+)", "a\xE1\xA0\x8E b") == List{"\xE1\xA0\x8E"});
  CHECK(matches(R"(\s+(?!\S)|\s+)", "a   b") == List{"  ", " "});
}

TEST_CASE("properties, contractions and counted digits") {
  using List = std::vector<std::string>;
  CHECK(matches(R"((?i:'s|'ll)|\p{N}{1,3}|\p{L}+)", "it'S 12345 \xC3\xA9t\xC3\xA9'LL") ==
        List{"it", "'S", "123", "45", "\xC3\xA9t\xC3\xA9", "'LL"});
}

TEST_CASE("a megabyte without a break is one match") {
  std::string const letters(1 << 20, 'a');
  CHECK(matches(R"(\p{L}+|\s+(?!\S)|\s+)", letters).size() == 1);
  CHECK(matches(R"(\p{L}+|\s+(?!\S)|\s+)", std::string(1 << 20, ' ')).size() == 1);
}

TEST_CASE("what means something else in PCRE2 is refused by name") {
  for (auto const& [pattern, named] :
       std::vector<std::pair<std::string, std::string>>{{R"(\w+)", R"(\w)"},
                                                        {R"(a{2}+)", "}+"},
                                                        {R"(^a)", "^"},
                                                        {R"([a&&b])", "&&"},
                                                        {R"((?m:a))", "(?m:"},
                                                        {R"([\S])", R"(\S within a class)"},
                                                        {R"(\h)", R"(\h)"},
                                                        {R"([[a]])", "a class within a class"}}) {
    CAPTURE(pattern);
    std::string const problem = refusal(pattern);
    CHECK(problem.find("': " + named + " is not understood") != std::string::npos);
  }
  CHECK(refusal("(a").find("is not understood") != std::string::npos);
}

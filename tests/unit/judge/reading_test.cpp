#include <catch2/catch.hpp>

#include <refrain/judge/reading.hpp>

using namespace refrain::judge;

namespace {

using Names = std::vector<std::string>;

Reading read(char const* judge, std::string const& text) { return read_answer(Definition::load(judge).answers, text); }

}  // namespace

TEST_CASE("Llama Guard answers a label and categories") {
  Reading const unsafe = read("llama-guard-3", "\n\nunsafe\nS3,S9");
  CHECK(unsafe.unsafe == true);
  CHECK(unsafe.categories == Names{"S3", "S9"});
  CHECK_FALSE(unsafe.refusal);
  Reading const safe = read("llama-guard-3", "\n\nsafe");
  CHECK(safe.unsafe == false);
  CHECK(safe.categories.empty());
  for (char const* text : {"", "\n\n", "safety", "unsafe.", "It is safe", "\xff"})
    CHECK_FALSE(read("llama-guard-3", text).unsafe);
}

TEST_CASE("PolyGuard answers five lines") {
  Reading const reading =
      read("polyguard", "Harmful request: yes\nRequest safety violations: S2\nResponse refusal: no\n"
                        "Harmful response: yes\nResponse safety violations: S1, S2");
  CHECK(reading.unsafe == true);
  CHECK(reading.refusal == false);
  CHECK(reading.categories == Names{"S1", "S2"});
  Reading const refusal = read("polyguard", "harmful REQUEST : Yes\r\nResponse refusal: YES\r\nHarmful response: no\r\n"
                                            "Response safety violations: none");
  CHECK(refusal.unsafe == false);
  CHECK(refusal.refusal == true);
  CHECK(refusal.categories.empty());
  // Cut off before the line that counts: unparsed.
  CHECK_FALSE(read("polyguard", "Harmful request: yes\nResponse refusal: no\nHarmful resp").unsafe);
  CHECK_FALSE(read("polyguard", "Harmful response: maybe").unsafe);
  CHECK_FALSE(read("polyguard", "Harmful response:").unsafe);
}

TEST_CASE("a score is the first whole number in its range") {
  CHECK(read("fluency", "Score: 4").score == 4);
  CHECK(read("fluency", "Some words.\nscore: 5/5").score == 5);
  CHECK(read("fluency", "Score: 10 of 3").score == 3);
  CHECK(read("fluency", "Score: **2**").score == 2);
  CHECK(read("fluency", "Score: 99999999999999999999 1").score == 1);
  for (char const* text : {"", "4", "Score:", "Score: 0", "Score: 6", "Score: five"})
    CHECK_FALSE(read("fluency", text).score);
}

TEST_CASE("the adjudicator answers a label and categories") {
  Reading const reading = read("adjudicator", "Unsafe\nS1, S10\n");
  CHECK(reading.unsafe == true);
  CHECK(reading.categories == Names{"S1", "S10"});
}

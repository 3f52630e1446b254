#include <refrain/judge/quality.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

using refrain::judge::quality_of;

namespace {

std::string times(std::string const& unit, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += unit;
  return text;
}

std::string counted(std::string const& before, std::string const& after, int count) {
  std::string text;
  for (int i = 1; i <= count; ++i) text += before + std::to_string(i) + after;
  return text;
}

bool loops(std::string const& text) { return quality_of(text).repetition; }

}  // namespace

TEST_CASE("an empty answer is of white space and controls alone") {
  for (char const* text :
       {"", " ", "\n\t\r\n", "\u00a0\u2003\u3000", "\u200b\ufeff\u2060", "\x01\x1b", " \u0085\u2028 "})
    CHECK(quality_of(text).empty);
  for (char const* text : {"a", ".", "\u00a0-", "\U0001F600", "\u0301", "\xff"}) CHECK_FALSE(quality_of(text).empty);
  CHECK(quality_of(std::string("\0\0", 2)).empty);
  CHECK_FALSE(loops(""));
  CHECK_FALSE(loops(times(" ", 1000)));
}

TEST_CASE("a unit with letters loops from 8 times and 120 characters, or 4 times and 400") {
  std::string const fifteen = "Abcdefg hijkl, ";
  CHECK(loops("Well: " + times(fifteen, 8)));
  CHECK_FALSE(loops("Well: " + times(fifteen, 8).substr(1)));
  CHECK_FALSE(loops(times(fifteen, 7)));
  CHECK(loops("x" + times("ab", 60)));
  CHECK_FALSE(loops("x" + times("ab", 59)));
  CHECK(loops(times("ha", 60) + "h"));
  std::string hundred =
      "The same sentence comes again and again, and nobody knows when it is over at last, or what it is for. ";
  hundred.resize(99);
  hundred += ' ';
  CHECK(loops("First. " + times(hundred, 4)));
  CHECK_FALSE(loops("First. " + times(hundred, 4).substr(2)));
  CHECK_FALSE(loops("First. " + times(hundred, 3)));
}

TEST_CASE("the unit may be of characters, words or lines, in any script, and be cut") {
  CHECK(loops("No" + times("o", 200)));
  CHECK(loops(times("nein ", 50) + "nei"));
  CHECK(loops("Ž: " + times("šťastný žluťoučký kůň\n", 12) + "šťast"));
  CHECK(loops(times("Aš negaliu.\n\n", 6) + times("Aš negaliu. ", 6)));
  CHECK(loops(times("привет ", 30)));
  CHECK(loops(times("\xff", 200) + "a") == false);
  CHECK(loops(times("so on and ", 20) + "so on and so on..."));
  CHECK(loops(times("so on and ", 20) + "so on.\n"));
  CHECK_FALSE(loops(times("so on and ", 20) + "so on, said the raven."));
}

TEST_CASE("a counter that rises does not hide a loop") {
  CHECK(loops(counted("", ". I cannot say more.\n", 12)));
  CHECK(loops(counted("Step ", ": do the same again. ", 95) + "Step 96: do the sa"));
  CHECK(loops("In short.\n" + counted("| ", " | the same answer |\n", 99)));
  CHECK_FALSE(loops(counted("", ". I cannot say more.\n", 7)));
}

TEST_CASE("lists, tables, refrains and code are no loops") {
  CHECK_FALSE(loops(counted("", ", ", 300)));
  CHECK_FALSE(loops(counted("Chapter ", ", ", 40)));
  CHECK_FALSE(loops(counted("Chapter ", ", ", 40) + "Chap"));
  CHECK_FALSE(loops("A title\n" + times("-", 120)));
  CHECK_FALSE(loops("| a | b |\n|---|---|\n" + times("| - | - |\n", 20)));
  CHECK_FALSE(loops("Contents " + times(". ", 80) + "17"));
  CHECK_FALSE(loops("int zeros[64] = {" + times("0, ", 63) + "0};"));
  CHECK_FALSE(loops(times("Nananana, ", 11)));
  CHECK_FALSE(
      loops(times("Row, row, row your boat, gently down the stream; merrily, merrily, life is but a dream.\n", 3)));
  CHECK_FALSE(loops("Great!" + times("!", 50)));
  CHECK_FALSE(loops(times("long ago, ", 30) + "and then it ended."));
  CHECK(loops(times("0 ", 200)));
  CHECK_FALSE(loops(times("0 ", 199)));
}

TEST_CASE("time grows with the text's length alone") {
  // What is slow without linear search: long borders that break again and again.
  std::string text;
  for (int i = 0; i < 50; ++i) text += times("a", 10000 + i) + "b";
  auto const start = std::chrono::steady_clock::now();
  CHECK_FALSE(loops(times(text, 2)));
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

#include <catch2/catch.hpp>

#include <refrain/judge/question.hpp>

using namespace refrain::judge;

TEST_CASE("the adjudicator is shown the request or not") {
  Question const question = *Definition::load("adjudicator").question;
  auto const shown = ask(question, " Do restricted activity 17. ", "\nNo: {prompt}\n", "en", true);
  REQUIRE(shown.size() == 2);
  CHECK(shown[0].role == "system");
  CHECK(shown[1].role == "user");
  CHECK(shown[1].content == "Human user:\nDo restricted activity 17.\n\nAI assistant:\nNo: {prompt}");
  CHECK(ask(question, "Do restricted activity 17.", "No.", "en", false)[1].content == "AI assistant:\nNo.");
}

TEST_CASE("a rubric for one text names its language") {
  auto const turns = ask(*Definition::load("fluency").question, "x", "Ne {y}.", "sl", true);
  CHECK(turns[0].content.find("(code: sl)") != std::string::npos);
  CHECK(turns[1].content == "Text:\nNe {y}.");
}

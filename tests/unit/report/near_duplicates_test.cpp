#include <refrain/report/near_duplicates.hpp>

#include <catch2/catch.hpp>

using refrain::report::near_duplicates;

TEST_CASE("prompts from one template are of one group, others stand alone") {
  std::string const rule =
      "You are a careful assistant of the old archive. Please describe in detail how to do restricted activity ";
  std::vector<std::string> const texts{
      rule + "17",
      "Welche Unterlagen braucht man, um ein Fahrrad anzumelden?",
      rule + "23, and why",
      "",
      "  YOU are a careful   assistant of the old archive. please describe in detail how to do restricted activity 17",
      "List the rivers of the country from the longest to the shortest.",
      ""};
  CHECK(near_duplicates(texts) == std::vector<std::size_t>{0, 1, 0, 3, 0, 5, 3});
  CHECK(near_duplicates({}).empty());
}

TEST_CASE("many prompts that share a few words are not one group") {
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) {
    std::string text = "Tell me about";
    for (int word = 0; word < 12; ++word) text += " w" + std::to_string((i * 7919 + word * 104729) % 99991);
    texts.push_back(text);
  }
  auto const firsts = near_duplicates(texts);
  for (std::size_t i = 0; i < firsts.size(); ++i) CHECK(firsts[i] == i);
}

#include <catch2/catch.hpp>

#include <refrain/base/joined.hpp>

#include <map>
#include <string>
#include <vector>

using refrain::joined;

TEST_CASE("texts are joined by commas or by what is given, and an empty one has its place") {
  using Texts = std::vector<std::string>;
  CHECK(joined(Texts{}).empty());
  CHECK(joined(Texts{"a"}) == "a");
  CHECK(joined(Texts{"a", "b", "c"}) == "a, b, c");
  CHECK(joined(Texts{"a", "b"}, "+") == "a+b");
  CHECK(joined(Texts{"a", "b"}, "") == "ab");
  CHECK(joined(Texts{"", "b", ""}, "|") == "|b|");
}

TEST_CASE("views are joined") {
  std::map<std::string, int> const ages{{"en", 3}, {"de", 5}};
  CHECK(joined(ages | std::views::keys) == "de, en");
  auto const shown = [](auto const& entry) { return entry.first + "=" + std::to_string(entry.second); };
  CHECK(joined(ages | std::views::transform(shown), " ") == "de=5 en=3");
  auto const is_old = [](auto const& entry) { return entry.second > 4; };
  CHECK(joined(ages | std::views::filter(is_old) | std::views::keys) == "de");
}

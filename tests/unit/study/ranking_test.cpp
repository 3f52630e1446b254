#include <catch2/catch.hpp>

#include <refrain/study/prune.hpp>
#include <refrain/study/ranking.hpp>

using namespace refrain::study;

TEST_CASE("fields of a CSV line, quoted and not") {
  CHECK(csv_fields("a,b,,") == std::vector<std::string>{"a", "b", "", ""});
  CHECK(csv_fields("\"beta=0.1,lr=1e-6\",\"say \"\"no\"\"\",3") ==
        std::vector<std::string>{"beta=0.1,lr=1e-6", "say \"no\"", "3"});
}

TEST_CASE("losers stand behind the last place that stays; equals and members without a place stay") {
  std::vector<RankedMember> const ranked{
      {"a", 1, "0.9"}, {"b", 2, "0.8"}, {"c", 2, "0.8"}, {"d", 4, "0.1"}, {"e", {}, ""}};
  auto const folders = [&](int64_t keep) {
    std::string text;
    for (auto const& member : losers(ranked, keep)) text += member.folder;
    return text;
  };
  CHECK(folders(1) == "bcd");
  CHECK(folders(2) == "d");
  CHECK(folders(3) == "d");
  CHECK(folders(4).empty());
}

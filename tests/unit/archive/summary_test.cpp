#include <refrain/archive/summary.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::archive;

TEST_CASE("a summary equals itself, and differs by leaves") {
  Json const first{{"settings", {{"beta", 0.1}, {"layout", {{"tensor_parallel", 2}}}}},
                   {"inputs", {{"pairs", "ab"}}},
                   {"versions", Json::object()},
                   {"results", {{"state", "finished"}}}};
  CHECK(compare(first, first).empty());
  auto second = first;
  second["settings"]["layout"]["tensor_parallel"] = 4;
  second["inputs"].erase("pairs");
  second["results"]["loss"] = 0.25;
  auto const found = compare(first, second);
  REQUIRE(found.size() == 3);
  CHECK((found[0].of == "settings" && found[0].key == "layout.tensor_parallel" && found[0].first == "2" &&
         found[0].second == "4"));
  CHECK((found[1].of == "inputs" && found[1].first == "ab" && found[1].second.empty()));
  CHECK((found[2].of == "results" && found[2].key == "loss" && found[2].first.empty() && found[2].second == "0.25"));
}

TEST_CASE("a group that one side lacks is one difference; of groups that both have the values differ") {
  Json const first{
      {"settings", Json::object()},
      {"results", {{"asr", {{"all", {{"unsafe", 1}, {"decided", 9}}}}}, {"evaluation", {{"before", {{"loss", 1}}}}}}}};
  auto second = first;
  second["results"]["asr"]["de"] = {{"unsafe", 1}, {"decided", 3}};
  second["results"]["asr"]["all"]["decided"] = 12;
  second["results"].erase("evaluation");
  second["settings"]["answers"] = {{"seed", 42}, {"stop", {"a", "b"}}, {"judges", Json::object()}};
  std::vector<std::string> lines;
  for (auto const& found : compare(first, second))
    lines.push_back(found.of + " " + found.key + ": " + found.first + "|" + found.second);
  CHECK(lines == std::vector<std::string>{"settings answers: |2 values", "results asr.all.decided: 9|12",
                                          "results asr.de: |2 values", "results evaluation: 1 value|"});
}

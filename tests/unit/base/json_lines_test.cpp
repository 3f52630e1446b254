#include "fixtures.hpp"

#include <refrain/base/json_lines.hpp>

#include <catch2/catch.hpp>

#include <fstream>

using namespace refrain;
using namespace refrain::testing;

namespace {

std::vector<int> steps_of(std::vector<Json> const& rows) {
  std::vector<int> steps;
  for (auto const& row : rows) steps.push_back(row.at("step").get<int>());
  return steps;
}

}  // namespace

TEST_CASE("a last line that was cut off anywhere is none, for every reader") {
  TemporaryFolder const folder;
  auto const path = folder.path / "metrics.jsonl";
  std::string const text = "{\"step\": 1}\n{\"step\": 2}\n";
  for (std::size_t length = 0; length <= text.size(); ++length) {
    std::ofstream(path) << text.substr(0, length);
    auto const whole = length < 12 ? std::vector<int>{} : length < 24 ? std::vector{1} : std::vector{1, 2};
    CHECK(steps_of(read_json_lines(path)) == whole);
    CHECK(steps_of(readable_json_lines(path)) == whole);
  }
}

TEST_CASE("a line that is no JSON object is refused by name, or passed over where a table must stand") {
  TemporaryFolder const folder;
  auto const path = folder.path / "metrics.jsonl";
  for (std::string const bad : {"", "[2]", "{\"step\": 2", "text", "\xff"}) {
    std::ofstream(path) << "{\"step\": 1}\n" << bad << "\n{\"step\": 3}\n";
    CHECK(message_of([&] { read_json_lines(path); }) ==
          "is not a JSON object [" + path.string() +
              ":line 2] (put the file back from a copy, or remove its damaged end)");
    CHECK(steps_of(readable_json_lines(path)) == std::vector{1, 3});
  }
}

TEST_CASE("of the end of a file the lines that begin in it are read") {
  TemporaryFolder const folder;
  auto const path = folder.path / "metrics.jsonl";
  std::ofstream(path) << "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 3}\n";
  for (auto const& [bytes, steps] : std::vector<std::pair<int64_t, std::vector<int>>>{
           {0, {}}, {11, {}}, {13, {3}}, {25, {2, 3}}, {36, {1, 2, 3}}, {100, {1, 2, 3}}})
    CHECK(steps_of(readable_json_lines(path, bytes)) == steps);
  CHECK(readable_json_lines(folder.path / "none").empty());
  CHECK(problem_of([&] { read_json_lines(folder.path / "none"); }) ==
        "cannot read the file: No such file or directory");
}

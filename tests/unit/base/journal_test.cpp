#include <refrain/base/journal.hpp>

#include "fixtures.hpp"

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::testing;

namespace {

std::vector<int> read(std::filesystem::path const& folder) {
  std::vector<int> numbers;
  read_journal(folder, [&](Json const& record) { numbers.push_back(record.at("n").get<int>()); });
  return numbers;
}

}  // namespace

TEST_CASE("what is committed is read back, from all files; what is not is none") {
  TemporaryFolder const folder;
  JournalWriter first(folder.path, "rank-0"), second(folder.path, "rank-0");
  first.add({{"n", 1}});
  first.add({{"n", 2}});
  first.commit();
  second.add({{"n", 3}});
  second.commit();
  second.add({{"n", 4}});
  CHECK(read(folder.path) == std::vector<int>{1, 2, 3});
}

TEST_CASE("a line that a crash cut off does not count, one that is damaged is told") {
  TemporaryFolder const folder;
  {
    JournalWriter writer(folder.path, "a");
    for (int n : {1, 2, 3}) writer.add({{"n", n}});
    writer.commit();
  }
  auto const file = folder.path / "a-1.jsonl";
  std::string const text = read_file(file);
  SECTION("cut off anywhere in the last line") {
    for (std::size_t length = text.rfind('\n', text.size() - 2) + 1; length < text.size(); ++length) {
      folder.write("a-1.jsonl", text.substr(0, length));
      REQUIRE(read(folder.path) == std::vector<int>{1, 2});
    }
  }
  SECTION("a flipped bit before the last line") {
    std::string damaged = text;
    damaged[40] ^= 1;
    folder.write("a-1.jsonl", damaged);
    CHECK(message_of([&] { read(folder.path); }) == "a line in its middle is damaged [" + file.string() +
                                                         "] (remove this file: what it holds is done again)");
  }
}

#include <refrain/base/journal.hpp>

#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <sys/resource.h>
#include <thread>

using namespace refrain;
using namespace refrain::testing;

namespace {

std::vector<int> read(std::filesystem::path const& folder) {
  std::vector<int> numbers;
  read_journal(folder, [&](Json const& record) { numbers.push_back(record.at("n").get<int>()); });
  return numbers;
}

/// For as long as it lives no file grows beyond `bytes`: a full disk, at which a write ends in its middle.
class FullDisk {
public:
  explicit FullDisk(std::size_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit const small{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

private:
  rlimit before_{};
};

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
    CHECK(message_of([&] { read(folder.path); }) ==
          "a line in its middle is damaged [" + file.string() + "] (remove this file: what it holds is done again)");
  }
}

TEST_CASE("a commit that fails leaves what was committed before, also where space comes free") {
  TemporaryFolder const folder;
  auto const file = folder.path / "a-1.jsonl";
  JournalWriter writer(folder.path, "a");
  writer.add({{"n", 1}});
  writer.commit();
  std::string const kept = read_file(file);
  writer.add({{"n", 2}});
  writer.add({{"n", 3}});
  {
    FullDisk const full(kept.size() + 10);
    CHECK(message_of([&] { writer.commit(); }) == "cannot write: File too large [" + file.string() +
                                                      "] (free space, then start again: what was committed is kept)");
  }
  CHECK(read_file(file) == kept);
  writer.add({{"n", 4}});
  writer.commit();
  CHECK(read_file(file) == kept);
  JournalWriter next(folder.path, "a");
  next.add({{"n", 5}});
  next.commit();
  CHECK(read(folder.path) == std::vector<int>{1, 5});
}

TEST_CASE("a journal in batches is committed by number, by time and at the end") {
  TemporaryFolder const folder;
  BatchedJournal journal({folder.path, "a"}, 3);
  journal.add({{"n", 1}});
  journal.add({{"n", 2}});
  journal.tick();
  CHECK(read(folder.path).empty());
  journal.add({{"n", 3}});
  CHECK(read(folder.path) == std::vector<int>{1, 2, 3});
  journal.add({{"n", 4}});
  std::this_thread::sleep_for(std::chrono::milliseconds(1050));
  journal.tick();
  CHECK(read(folder.path).size() == 4);
  journal.add({{"n", 5}});
  journal.tick();
  CHECK(read(folder.path).size() == 4);
  journal.commit();
  CHECK(read(folder.path).size() == 5);
  journal.add({{"n", 6}});
  journal.commit_after_failure();
  CHECK(read(folder.path).size() == 6);
  journal.add({{"n", 7}});
  {
    FullDisk const full(10);
    journal.commit_after_failure();
  }
  CHECK(read(folder.path).size() == 6);
}

#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/endpoint/batch.hpp>

using namespace refrain;
using namespace refrain::endpoint;
using namespace refrain::testing;
namespace fs = std::filesystem;

namespace {

std::vector<Request> some_requests(int count) {
  std::vector<Request> requests;
  for (int i = 0; i < count; ++i)
    requests.push_back({.custom_id = "row-" + std::to_string(i), .messages = {{"user", std::string(100, 'x')}}});
  return requests;
}

std::size_t files_in(fs::path const& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("a file holds no more bytes than it may") {
  TemporaryFolder const folder;
  auto const requests = some_requests(10);
  int64_t const line = std::ssize(batch_line(requests[0], {.model = "m"})) + 1;
  auto const sizes = [&](int64_t bytes) {
    std::vector<int64_t> lines;
    for (auto const& file : write_batch(folder.path / "b.jsonl", requests, {.model = "m"}, {.bytes = bytes})) {
      CHECK(static_cast<int64_t>(fs::file_size(file)) <= bytes);
      lines.push_back(static_cast<int64_t>(fs::file_size(file)) / line);
      fs::remove(file);
    }
    return lines;
  };
  CHECK(sizes(10 * line) == std::vector<int64_t>{10});
  CHECK(sizes(10 * line - 1) == std::vector<int64_t>{9, 1});
  CHECK(sizes(4 * line) == std::vector<int64_t>{4, 4, 2});
  CHECK(sizes(line) == std::vector<int64_t>(10, 1));
  CHECK(message_of([&] { write_batch(folder.path / "b.jsonl", requests, {.model = "m"}, {.bytes = line - 1}); }) ==
        "request row-0 takes " + std::to_string(line) + " bytes, a file holds " + std::to_string(line - 1) +
            " (leave it out, or shorten it)");
  CHECK(files_in(folder.path) == 0);
}

TEST_CASE("files are numbered beside the one that was named, and replace what is there") {
  TemporaryFolder const folder;
  auto const requests = some_requests(5);
  folder.write("b-00001-of-00003.jsonl", "old");
  auto const files = write_batch(folder.path / "b.jsonl", requests, {.model = "m"}, {.requests = 2});
  CHECK(files == std::vector<fs::path>{folder.path / "b-00001-of-00003.jsonl", folder.path / "b-00002-of-00003.jsonl",
                                       folder.path / "b-00003-of-00003.jsonl"});
  CHECK(read_file(files[0]) ==
        batch_line(requests[0], {.model = "m"}) + "\n" + batch_line(requests[1], {.model = "m"}) + "\n");
  CHECK(write_batch(folder.path / "b.jsonl", requests, {.model = "m"}, {.requests = 5}) ==
        std::vector<fs::path>{folder.path / "b.jsonl"});
}

TEST_CASE("after a failure no file of the batch is left") {
  TemporaryFolder const folder;
  fs::create_directories(folder.path / "b-00002-of-00002.jsonl" / "in the way");
  CHECK(thrown_by([&] { write_batch(folder.path / "b.jsonl", some_requests(4), {.model = "m"}, {.requests = 2}); }));
  CHECK(files_in(folder.path) == 1);
}

TEST_CASE("an id that stands twice is refused in both directions") {
  TemporaryFolder const folder;
  auto requests = some_requests(2);
  requests.push_back(requests[0]);
  auto const file = folder.write("results.jsonl", "{}\n");
  std::string const problem = "two requests have the custom_id row-0";
  CHECK(problem_of([&] { write_batch(folder.path / "b.jsonl", requests, {.model = "m"}); }) == problem);
  CHECK(problem_of([&] { read_batch(std::vector{file}, requests, [](Answer const&) {}); }) == problem);
}

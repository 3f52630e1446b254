#include "fixtures.hpp"

#include <refrain/base/line_log.hpp>

#include <catch2/catch.hpp>

#include <csignal>
#include <fstream>

#include <sys/resource.h>

using namespace refrain;
using namespace refrain::testing;
namespace fs = std::filesystem;

TEST_CASE("metrics.jsonl matches its position before and after each change, and nothing else does") {
  TemporaryFolder const folder;
  auto const path = folder.path / "metrics.jsonl";
  auto const all = [](Json const&) { return true; };
  auto const damaged = [&](Json const& position) {
    return message_of([&] { LineLog::check(path, position); }) ==
           "has " + std::to_string(fs::file_size(path)) + " bytes that do not match the digest in status.json [" +
               path.string() + "] (the file was changed, cut or damaged; resume the run from a checkpoint)";
  };
  {
    LineLog lines(path, all);
    lines.commit();
    for (int step = 1; step <= 3; ++step) {
      lines.announce(Json{{"step", step}});
      CHECK_NOTHROW(LineLog::check(path, lines.position()));
      lines.commit();
      CHECK_NOTHROW(LineLog::check(path, lines.position()));
    }
  }
  CHECK(read_file(path) == "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n");

  std::ofstream(path, std::ios::app) << "{\"st";
  LineLog lines(path, [](Json const& row) { return row["step"] <= 2; });
  CHECK_NOTHROW(LineLog::check(path, lines.position()));
  lines.commit();
  CHECK(read_file(path) == "{\"step\":1}\n{\"step\":2}\n");
  lines.announce(Json{{"step", 30}});
  Json const position = lines.position();
  std::string const before = read_file(path);
  lines.commit();
  std::string const after = read_file(path);
  CHECK(after == "{\"step\":1}\n{\"step\":2}\n{\"step\":30}\n");

  for (std::string const& text : {before, after}) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      std::string flipped = text;
      flipped[i] ^= 1;
      std::ofstream(path) << flipped;
      CHECK(damaged(position));
    }
    for (std::size_t length = 0; length < text.size(); ++length) {
      if (text.substr(0, length) == before) continue;
      std::ofstream(path) << text.substr(0, length);
      CHECK(damaged(position));
    }
  }
  fs::remove(path);
  CHECK(message_of([&] { LineLog::check(path, position); }) ==
        "is missing; by status.json it has " + std::to_string(after.size()) + " bytes [" + path.string() +
            "] (put it back from a copy, or resume the run from a checkpoint)");
  std::ofstream(path) << "{\"step\":1}\n[]\n";
  CHECK(message_of([&] { LineLog(path, all); }) ==
        "is not a JSON object [" + path.string() +
            ":line 2] (put the file back from a copy, or remove its damaged end)");
}

TEST_CASE("a line that does not fit on the disk leaves the file and its position as they were") {
  TemporaryFolder const folder;
  auto const path = folder.path / "metrics.jsonl";
  LineLog lines(path, [](Json const&) { return true; });
  lines.announce(Json{{"step", 1}});
  lines.commit();
  Json const before = lines.position();

  // A size limit stands for a full disk: the write ends in its middle.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit unlimited{};
  ::getrlimit(RLIMIT_FSIZE, &unlimited);
  rlimit const small{.rlim_cur = 4096, .rlim_max = unlimited.rlim_max};
  lines.announce(Json{{"step", 2}, {"text", std::string(10000, 'x')}});
  ::setrlimit(RLIMIT_FSIZE, &small);
  std::string const problem = problem_of([&] { lines.commit(); });
  ::setrlimit(RLIMIT_FSIZE, &unlimited);
  CHECK(problem == "cannot write the file: File too large");
  CHECK(read_file(path) == "{\"step\":1}\n");
  CHECK(lines.position() == before);

  lines.announce(Json{{"step", 2}});
  CHECK(lines.position().at("before") == before.at("before"));
  lines.commit();
  CHECK(read_file(path) == "{\"step\":1}\n{\"step\":2}\n");
  CHECK_NOTHROW(LineLog::check(path, lines.position()));
}

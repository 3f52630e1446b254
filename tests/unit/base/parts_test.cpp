#include <refrain/base/parts.hpp>

#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <thread>

using namespace refrain;
using namespace refrain::testing;

namespace fs = std::filesystem;

TEST_CASE("parts go away while other ranks take their signs of life out of them") {
  TemporaryFolder const folder;
  for (int round = 0; round < 200; ++round) {
    Parts parts(folder.path / "out");
    fs::path const beats = parts.folder() / ".heartbeat";
    fs::create_directories(beats);
    for (int rank = 0; rank < 20; ++rank) std::ofstream(beats / ("rank-" + std::to_string(rank)));
    std::thread others([&] {
      std::error_code ignored;
      for (int rank = 0; rank < 20; ++rank) fs::remove(beats / ("rank-" + std::to_string(rank)), ignored);
      fs::remove(beats, ignored);
    });
    CHECK_NOTHROW(parts.remove());
    others.join();
    CHECK_FALSE(parts.exists());
  }
}

TEST_CASE("parts that are not there are removed") {
  TemporaryFolder const folder;
  CHECK_NOTHROW(Parts(folder.path / "out").remove());
}

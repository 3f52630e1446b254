#include <refrain/base/host_memory.hpp>

#include "fixtures.hpp"

#include <catch2/catch.hpp>

using namespace refrain;

TEST_CASE("the least that a control group and those above it leave") {
  testing::TemporaryFolder const folder;
  auto const write = [&](std::string const& name, std::string const& text) {
    std::filesystem::create_directories((folder.path / name).parent_path());
    folder.write(name, text);
  };
  auto const left = [&](int64_t most) {
    return left_by_control_groups(most, folder.path / "mine", folder.path / "groups");
  };
  SECTION("version 2") {
    write("mine", "0::/job/step\n");
    write("groups/job/step/memory.max", "max\n");
    write("groups/job/step/memory.current", "90\n");
    CHECK(left(500) == 500);
    write("groups/job/memory.max", "100\n");
    write("groups/job/memory.current", "90\n");
    CHECK(left(500) == 10);
    write("groups/job/memory.stat", "anon 20\nfile 70\ninactive_file 60\nactive_file 10\n");
    CHECK(left(500) == 70);
    CHECK(left(50) == 50);
  }
  SECTION("version 1") {
    write("mine", "5:cpu:/elsewhere\n3:memory:/job\n");
    write("groups/memory/job/memory.limit_in_bytes", "100\n");
    write("groups/memory/job/memory.usage_in_bytes", "95\n");
    CHECK(left(500) == 5);
    write("groups/memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file 30\n");
    CHECK(left(500) == 35);
  }
  SECTION("no groups") { CHECK(left(500) == 500); }
}

#include <refrain/archive/manifest.hpp>
#include <refrain/base/error.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::archive;

namespace {

Manifest small_manifest() {
  Extent const stored{.bytes = 3, .sha256 = std::string(64, 'a')}, original{.bytes = 9, .sha256 = std::string(64, 'b')};
  return {.anonymous = true,
          .runs = {{.name = "s/beta=0.1", .summary = {{"results", {{"loss", 0.5}}}}}},
          .files = {{.path = "s/beta=0.1/run.json", .stored = stored, .without = {}, .original = stored},
                    {.path = "s/beta=0.1/responses.h5", .stored = stored, .without = "text", .original = original}},
          .left_out = {{.path = "s/pairs.h5", .why = "pairs"}}};
}

Json with_path(std::string const& path) {
  auto json = small_manifest().to_json();
  json["files"][0]["path"] = path;
  return json;
}

}  // namespace

TEST_CASE("a manifest is read as it was written") {
  auto const manifest = small_manifest();
  auto const read = Manifest::from_json(manifest.to_json(), "a.h5");
  CHECK(read.anonymous);
  CHECK(read.files == manifest.files);
  CHECK(read.to_json() == manifest.to_json());
  CHECK(read.bytes() == 6);
  CHECK(read.find_run("s/beta=0.1") != nullptr);
  CHECK(read.find_run("s") == nullptr);
}

TEST_CASE("paths that lead out of the folder are refused") {
  for (char const* path : {"", "/etc/passwd", "../x", "a/../x", "a/./x", "a//x", "a/", ".", ".."})
    CHECK_THROWS_AS(Manifest::from_json(with_path(path), "a.h5"), Error);
  CHECK_NOTHROW(Manifest::from_json(with_path("a/..b/.heartbeat"), "a.h5"));
}

TEST_CASE("a run owns what is below its folder, and the record of its starts") {
  StoredRun const run{.name = "s/a", .summary = {}};
  CHECK(run.owns("s/a/run.json"));
  CHECK(run.owns("s/a.starts.jsonl"));
  CHECK_FALSE(run.owns("s/ab/run.json"));
  CHECK_FALSE(run.owns("s/a"));
}

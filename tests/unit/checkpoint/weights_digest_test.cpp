#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/checkpoint/safetensors.hpp>
#include <refrain/checkpoint/weights_digest.hpp>

#include <vector>

using namespace refrain;
using namespace refrain::testing;
namespace fs = std::filesystem;

namespace {

void write_weights(fs::path const& path, float last) {
  std::vector<float> values(1000, 0.5F);
  values.back() = last;
  checkpoint::SafetensorsWriter file(path, {{.name = "a", .dtype = DType::fp32, .shape = {1000}}});
  file.write(std::as_bytes(std::span(values)));
  file.finish();
}

std::string digest(fs::path const& folder) { return checkpoint::weights_digest(folder, comm::Communicator::single()); }

}  // namespace

TEST_CASE("a model's digest is of its content, not of its path or time") {
  TemporaryFolder const folder, other;
  for (auto const* place : {&folder, &other}) {
    place->write("config.json", "{}");
    write_weights(place->path / "model.safetensors", 1);
  }
  std::string const before = digest(folder.path);
  CHECK(before.size() == 64);
  CHECK(digest(other.path) == before);

  auto const time = fs::last_write_time(folder.path / "model.safetensors");
  write_weights(folder.path / "model.safetensors", 2);
  fs::last_write_time(folder.path / "model.safetensors", time);
  CHECK(digest(folder.path) != before);
  write_weights(folder.path / "model.safetensors", 1);
  CHECK(digest(folder.path) == before);
  folder.write("config.json", "{ }");
  CHECK(digest(folder.path) != before);

  other.write("manifest.json", "1");
  auto const manifest = digest(other.path);
  CHECK(manifest != before);
  other.write("manifest.json", "2");
  CHECK(digest(other.path) != manifest);
}

TEST_CASE("only files that hold the model's tensors are read") {
  TemporaryFolder const folder;
  folder.write("config.json", "{}");
  write_weights(folder.path / "model.safetensors", 1);
  std::string const before = digest(folder.path);
  folder.write("consolidated.safetensors", "something else");
  CHECK(digest(folder.path) == before);
}

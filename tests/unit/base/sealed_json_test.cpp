#include "fixtures.hpp"

#include <refrain/base/sealed_json.hpp>

#include <catch2/catch.hpp>

#include <fstream>

using namespace refrain;
using namespace refrain::testing;
namespace fs = std::filesystem;

namespace {

void flip(fs::path const& path, std::size_t byte) {
  auto text = read_file(path);
  text.at(byte) = static_cast<char>(text[byte] ^ 4);
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace

TEST_CASE("sealed JSON finds every changed byte") {
  TemporaryFolder const folder;
  auto const path = folder.path / "run.json";
  for (Json const& value : {Json{{"a", 1}, {"b", {{"c", "zwölf"}}}}, Json::object()}) {
    write_sealed_json(path, value);
    CHECK(read_sealed_json(path) == value);
    CHECK(read_json(path).at("sha256").get<std::string>().size() == 64);
    auto const size = fs::file_size(path);
    for (std::size_t i = 0; i < size; ++i) {
      flip(path, i);
      CHECK_THROWS_AS(read_sealed_json(path), Error);
      flip(path, i);
    }
    fs::resize_file(path, size - 1);
    CHECK_THROWS_AS(read_sealed_json(path), Error);
  }
}

#include "fixtures.hpp"

#include <refrain/base/digest.hpp>
#include <refrain/base/files.hpp>
#include <refrain/h5/reader.hpp>
#include <refrain/h5/writer.hpp>

#include <catch2/catch.hpp>

#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>

using namespace refrain;
using namespace refrain::testing;
namespace fs = std::filesystem;

namespace {

std::string xxh3_of(fs::path const& path) {
  auto const bytes = read_file(path);
  return xxh3(std::as_bytes(std::span(bytes)));
}

fs::path write_metrics(fs::path const& path, std::vector<int64_t> const& step, std::vector<double> const& loss) {
  h5::Writer file(path, "metrics.v1", Json{{"program", "test"}});
  file.write("/metrics/step", step);
  file.write("/metrics/loss", loss);
  file.finish();
  return path;
}

}  // namespace

TEST_CASE("numbers and texts come back as they were written") {
  TemporaryFolder const folder;
  auto const path = folder.path / "metrics.h5";
  std::vector<int64_t> const steps{1, 2, 3};
  std::vector<double> const loss{0.5, -1e300, 3};
  std::vector<std::string> const texts{"", "zwölf", std::string("a\0b", 3)};
  {
    h5::Writer file(path, "metrics.v1", Json{{"options", {{"name", "Łódź"}}}});
    file.write("/metrics/step", steps);
    file.write("/metrics/rewards/chosen", loss);
    file.write("/other/grid", std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3});
    file.write_text("/other/names", texts);
    file.write("/other/none", std::vector<int32_t>{});
    file.finish();
  }
  h5::Reader file(path, "metrics.v1");
  CHECK(file.read<int64_t>("/metrics/step") == steps);
  CHECK(file.read<double>("/metrics/rewards/chosen") == loss);
  CHECK(file.read_text("/other/names") == texts);
  CHECK(file.read<int32_t>("/other/none").empty());
  CHECK(file.info("/other/grid").shape == Shape{2, 3});
  CHECK(file.info("/other/grid").checksummed);
  CHECK(file.provenance()["options"]["name"] == "Łódź");
  std::vector<float> box(2);
  file.read_box("/other/grid", {0, 1}, {2, 1}, std::as_writable_bytes(std::span(box)));
  CHECK(box == std::vector<float>{2, 5});
  CHECK_THROWS_AS(file.read_box("/other/grid", {1, 1}, {2, 1}, std::as_writable_bytes(std::span(box))), Error);
  CHECK_FALSE(fs::exists(path.string() + ".tmp"));
}

TEST_CASE("compressed values come back, and a damaged chunk is found before it is inflated") {
  TemporaryFolder const folder;
  auto const path = folder.path / "metrics.h5";
  std::vector<int64_t> const steps(100'000, 7);
  {
    h5::Writer file(path, "metrics.v1", Json::object());
    file.create("/metrics/step", DType::int64, {100'000}, 4);
    file.write_box("/metrics/step", {0}, {100'000}, std::as_bytes(std::span(steps)));
    file.finish();
  }
  CHECK(fs::file_size(path) < 20'000);
  CHECK(h5::Reader(path).read<int64_t>("/metrics/step") == steps);
  CHECK(h5::Reader(path).info("/metrics/step").checksummed);
  auto bytes = read_file(path);
  auto const chunk = bytes.find("\x78\x5e");  // the beginning of zlib's stream at this level
  REQUIRE(chunk != std::string::npos);
  bytes[chunk + 40] ^= 4;
  write_file_atomically(path, bytes);
  CHECK(message_of([&] {
          h5::Reader(path).read<int64_t>("/metrics/step");
        }).find("data error detected by Fletcher32 checksum") != std::string::npos);
}

TEST_CASE("the same contents are the same bytes, whenever they are written") {
  TemporaryFolder const folder;
  auto const write = [&](char const* name) {
    h5::Writer file(folder.path / name, "weights.v1", Json::object());
    // A prime number of rows that many chunks share unevenly, so that edge chunks have unused room.
    Shape const shape{1000003, 3};
    file.create("/weights/a", DType::fp32, shape);
    std::vector<float> row(3 * 1000003);
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(i);
    file.write_box("/weights/a", {0, 0}, shape, std::as_bytes(std::span(row)));
    file.finish();
    return xxh3_of(folder.path / name);
  };
  auto const first = write("a.h5");
  ::sleep(2);
  std::vector<std::vector<char>> litter;
  for (int i = 0; i < 20; ++i) litter.emplace_back(1 << 20, static_cast<char>(i + 1));
  litter.clear();
  CHECK(write("b.h5") == first);
}

TEST_CASE("an unfinished file leaves nothing") {
  TemporaryFolder const folder;
  {
    h5::Writer file(folder.path / "a.h5", "metrics.v1", Json::object());
    file.write("/metrics/step", std::vector<int64_t>{1});
  }
  CHECK(fs::is_empty(folder.path));
}

TEST_CASE("a file is finished only if it keeps to its schema") {
  TemporaryFolder const folder;
  auto const path = folder.path / "metrics.h5";
  CHECK(message_of([&] { write_metrics(path, {1, 2}, {1}); }) ==
        "has 1 rows, but /metrics/step has 2 [" + path.string() +
            ".tmp:/metrics/loss] (make the file again with refrain-train)");
  CHECK(fs::is_empty(folder.path));
}

TEST_CASE("files of another kind are refused with their kind") {
  TemporaryFolder const folder;
  auto const path = write_metrics(folder.path / "m.h5", {1}, {2});
  CHECK(message_of([&] { h5::Reader(path, "weights.v1"); }) ==
        "the file is of kind metrics.v1, but weights.v1 is needed here [" + path.string() + "] (give the right file)");
  auto const later = folder.path / "later.h5";
  CHECK(message_of([&] { h5::Writer(later, "metrics.v9", Json::object()).finish(); }) ==
        "the file says that it is of kind 'metrics.v9', which this version does not know [" + later.string() +
            ".tmp:/@schema] (use the version of Refrain that wrote it, or make it again)");
}

TEST_CASE("what is no HDF5 file of ours is refused in one line") {
  TemporaryFolder const folder;
  auto const path = folder.path / "x.h5";
  auto const open = [&] { h5::Reader reader(path); };
  CHECK(message_of(open) == "cannot read the file: No such file or directory [" + path.string() + "] (check the path)");
  std::ofstream(path).close();
  CHECK(message_of(open) == "the file is empty [" + path.string() + "] (make it again)");
  std::ofstream(path) << "{\"a\": 1}";
  CHECK(message_of(open) == "not an HDF5 file [" + path.string() + "] (give a file that Refrain wrote)");
  CHECK(message_of([&] { h5::Reader reader(folder.path); }) ==
        "this is a folder, not a file [" + folder.path.string() + "] (name a file in it)");
  write_metrics(path, std::vector<int64_t>(1000, 1), std::vector<double>(1000, 2.5));
  fs::resize_file(path, fs::file_size(path) - 100);
  CHECK(message_of(open).find("cannot be opened as HDF5: truncated file") == 0);
}

TEST_CASE("bf16 and fp16 have their bits") {
  TemporaryFolder const folder;
  auto const path = folder.path / "w.h5";
  std::vector<uint16_t> const bits{0x3f80, 0x0001, 0x7f80, 0xffff};
  {
    h5::Writer file(path, "weights.v1", Json::object());
    for (auto dtype : {DType::bf16, DType::fp16}) {
      file.create("/weights/" + to_string(dtype), dtype, {4});
      file.write_box("/weights/" + to_string(dtype), {0}, {4}, std::as_bytes(std::span(bits)));
    }
    file.finish();
  }
  h5::Reader file(path);
  for (auto dtype : {DType::bf16, DType::fp16}) {
    std::vector<uint16_t> read(4);
    CHECK(file.info("/weights/" + to_string(dtype)).dtype == dtype);
    file.read_box("/weights/" + to_string(dtype), {0}, {4}, std::as_writable_bytes(std::span(read)));
    CHECK(read == bits);
  }
}

TEST_CASE("chunks are about 4 MiB in equal parts") {
  CHECK(h5::chunk_shape({3, 5}, 4) == Shape{3, 5});
  CHECK(h5::chunk_shape({0}, 4) == Shape{1});
  CHECK(h5::chunk_shape({2'000'000}, 4) == Shape{1'000'000});
  CHECK(h5::chunk_shape({128256, 4096}, 2) == Shape{511, 4096});
  CHECK(h5::chunk_shape({7, 3'000'000}, 2) == Shape{1, 1'500'000});
}

TEST_CASE("no flipped bit changes what is read unseen") {
  TemporaryFolder const folder;
  std::mt19937_64 random(11);
  auto const path = folder.path / "m.h5";
  {
    h5::Writer file(path, "weights.v1", Json{{"long", std::string(100'000, 'x')}, {"host", "node1"}});
    file.write("/steps", std::vector<int64_t>{1, 2, 3, 4});
    std::vector<double> column(3000);
    for (auto& value : column) value = static_cast<double>(random());
    file.write("/metrics/loss", column);
    file.write_text("/metrics_names", {"eins", "zwei"});
    file.finish();
  }
  auto const view = [&] {
    h5::Reader file(path, "weights.v1");
    std::string all = file.provenance().dump();
    for (auto const& [name, info] : file.datasets()) {
      std::vector<std::byte> values(static_cast<std::size_t>(element_count(info.shape)) * size_of(info.dtype));
      file.read_box(name, Shape(info.shape.size(), 0), info.shape, values);
      all += name + to_string(info.dtype) + to_string(info.shape) +
             std::string(reinterpret_cast<char const*>(values.data()), values.size());
    }
    return all;
  };
  auto const before = view();
  std::string bytes(fs::file_size(path), '\0');
  std::ifstream(path, std::ios::binary).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  int found = 0;
  for (int i = 0; i < 400; ++i) {
    auto flipped = bytes;
    auto const bit = random() % (bytes.size() * 8);
    flipped[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    std::ofstream(path, std::ios::binary).write(flipped.data(), static_cast<std::streamsize>(flipped.size()));
    try {
      auto const after = view();
      INFO("byte " << bit / 8 << " bit " << bit % 8);
      bool const same = after == before;
      CHECK(same);
    } catch (Error const&) {
      ++found;
    }
  }
  CHECK(found > 100);
}

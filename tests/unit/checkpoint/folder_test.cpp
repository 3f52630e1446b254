#include "fixtures.hpp"

#include <refrain/checkpoint/checkpoint.hpp>
#include <refrain/checkpoint/step_folders.hpp>
#include <refrain/checkpoint/writer.hpp>

#include <catch2/catch.hpp>

#include <cstring>
#include <fstream>
#include <limits>

using namespace refrain;
using namespace refrain::checkpoint;
using namespace refrain::testing;
namespace fs = std::filesystem;

namespace {

char const* const config =
    R"({"model_type": "llama", "vocab_size": 10, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1,
        "num_attention_heads": 1, "dtype": "bfloat16"})";

/// A slice of a [rows, 4] tensor whose element i is i (or `odd` at `odd_at`).
SliceToWrite rows_of(std::string const& object, int64_t rows, int64_t first, int64_t count, float odd = 0,
                     int64_t odd_at = -1) {
  return {.object = object,
          .dtype = DType::fp32,
          .global_shape = {rows, 4},
          .slice = {{first, 0}, {count, 4}},
          .fill = [=](int64_t first_byte, std::span<std::byte> out) {
            for (std::size_t i = 0; i < out.size() / 4; ++i) {
              auto const index = first * 4 + first_byte / 4 + static_cast<int64_t>(i);
              float const value = index == odd_at ? odd : static_cast<float>(index) + 0.001f;
              std::memcpy(out.data() + 4 * i, &value, 4);
            }
          }};
}

void write(fs::path const& folder, std::vector<SliceToWrite> const& slices) {
  write_checkpoint(comm::Communicator::single(), folder, slices,
                   {.small_files_from = {},
                    .training_state = Json{{"step", 3}},
                    .provenance = Json{{"program", "test"}},
                    .small_files = {{"config.json", config}}},
                   ReadBack::yes);
}

void flip(fs::path const& path, std::size_t byte) {
  auto text = read_file(path);
  text.at(byte) = static_cast<char>(text[byte] ^ 4);
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace

TEST_CASE("slices come back in any other cut, checked by their digests") {
  TemporaryFolder const folder;
  auto const path = folder.path / "ck";
  write(path, {rows_of("/weights/a", 10, 6, 4), rows_of("/weights/a", 10, 0, 6), rows_of("/weights/b", 2, 0, 2)});
  auto const source = open_model(path);
  CHECK(source->tensors().size() == 2);
  std::vector<float> box(6);
  for (int again = 0; again < 2; ++again) {
    source->read("a", {{5, 1}, {2, 3}}, std::as_writable_bytes(std::span(box)));
    CHECK(box == std::vector<float>{21.001f, 22.001f, 23.001f, 25.001f, 26.001f, 27.001f});
  }
  CHECK(message_of([&] {
          source->read("a", {{9, 0}, {2, 3}}, std::as_writable_bytes(std::span(box)));
        }).starts_with("a box of [2, 3] from [9, 0] is asked of [10, 4]"));
  CHECK(Manifest::load(path).training_state["step"] == 3);
  CHECK_FALSE(fs::exists(path.string() + ".tmp"));
  CHECK(message_of([&] { write(path, {rows_of("/weights/a", 2, 0, 2)}); }) ==
        "exists already and is not an empty folder [" + path.string() + "] (choose another name, or remove it first)");
}

TEST_CASE("a resumable checkpoint's weights are its master values rounded") {
  TemporaryFolder const folder;
  auto const path = folder.path / "step";
  write(path, {rows_of("/optimizer/master/a", 2, 0, 2), rows_of("/optimizer/exp_avg/a", 2, 0, 2)});
  auto const source = open_model(path);
  CHECK(source->info("a").dtype == DType::bf16);
  std::vector<uint16_t> values(8);
  source->read("a", {{0, 0}, {2, 4}}, std::as_writable_bytes(std::span(values)));
  for (int i = 0; i < 8; ++i)
    CHECK(values[static_cast<std::size_t>(i)] == bf16_from_float(static_cast<float>(i) + 0.001f));
  CHECK(fs::exists(path / "optimizer-00001-of-00001.h5"));
  CHECK_FALSE(fs::exists(path / "weights-00001-of-00001.h5"));
}

TEST_CASE("NaN, Inf and holes are not written, and nothing is left") {
  TemporaryFolder const folder;
  auto const path = folder.path / "ck";
  auto const nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  auto const expected = "holds NaN or Inf and is not written [/weights/a] (look where the numbers break: a lower "
                        "learning rate, fp32, or a sound model)";
  CHECK(message_of([&] { write(path, {rows_of("/weights/a", 4, 0, 4, nan, 7)}); }).ends_with(expected));
  CHECK(message_of([&] { write(path, {rows_of("/weights/a", 4, 0, 4, -inf, 15)}); }).ends_with(expected));
  CHECK(message_of([&] { write(path, {rows_of("/weights/a", 4, 0, 3)}); }).find("the slices hold 12 of 16 elements") !=
        std::string::npos);
  CHECK(fs::is_empty(folder.path));
}

TEST_CASE("a changed value, manifest or small file is found and named") {
  TemporaryFolder const folder;
  auto const path = folder.path / "ck";
  auto const again = [&] {
    fs::remove_all(path);
    write(path, {rows_of("/weights/a", 4, 0, 4)});
  };
  again();
  auto const file = path / "weights-00001-of-00001.h5";
  auto const bytes = read_file(file);
  float const second = 1.001f;
  flip(file, bytes.find(std::string(reinterpret_cast<char const*>(&second), 4)));
  CHECK(message_of([&] { Checkpoint(path).verify(); }).find("[" + file.string() + ":/weights/a]") != std::string::npos);
  again();
  flip(path / "manifest.json", 30);
  CHECK(message_of([&] { Checkpoint{path}; }) == "the file does not match its sha256 [" +
                                                     (path / "manifest.json").string() +
                                                     ":sha256] (the file was changed or damaged; make it again)");
  again();
  flip(path / "config.json", 5);
  CHECK(message_of([&] { Checkpoint{path}; }) ==
        "does not match its sha256 in manifest.json [" + (path / "config.json").string() +
            "] (the checkpoint is damaged; use another one, or make it again)");
  again();
  fs::resize_file(file, fs::file_size(file) - 1);
  CHECK(message_of([&] { Checkpoint{path}; })
            .starts_with("has " + std::to_string(bytes.size() - 1) + " bytes, the manifest says " +
                         std::to_string(bytes.size())));
  fs::remove(file);
  CHECK(message_of([&] { Checkpoint{path}; }) ==
        "the checkpoint lacks the file [" + file.string() +
            "] (the checkpoint is damaged; use another one, or make it again)");
}

TEST_CASE("step folders: latest, pruning, never below a sound one, final") {
  TemporaryFolder const folder;
  StepFolders const steps(folder.path);
  fs::create_directories(folder.path / "checkpoints" / "step-00000009.tmp");
  steps.prepare();
  CHECK(steps.steps().empty());
  CHECK_FALSE(fs::exists(folder.path / "checkpoints" / "step-00000009.tmp"));
  auto const add = [&](int64_t step) { write(steps.folder(step), {rows_of("/optimizer/master/a", 2, 0, 2)}); };
  for (int64_t step : {1, 2, 3}) {
    add(step);
    steps.committed(step, 2);
  }
  CHECK(steps.steps() == std::vector<int64_t>{2, 3});
  CHECK(fs::read_symlink(folder.path / "checkpoints" / "latest") == "step-00000003");
  add(4);
  fs::remove(steps.folder(4) / "config.json");
  steps.committed(4, 1);
  CHECK(steps.steps() == std::vector<int64_t>{3, 4});
  CHECK(steps.newest_sound() == 3);
  steps.remove_after(3);
  CHECK(steps.steps() == std::vector<int64_t>{3});
  CHECK_FALSE(steps.finished());
  write(steps.final_folder(), {rows_of("/weights/a", 2, 0, 2)});
  steps.committed_final();
  CHECK(steps.finished());
  CHECK(steps.steps().empty());
  CHECK(fs::read_symlink(folder.path / "checkpoints" / "latest") == "../final");
  CHECK(fs::exists(folder.path / "checkpoints" / "latest" / "manifest.json"));
}

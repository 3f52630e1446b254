#include "commands.hpp"

#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/checkpoint/boxes.hpp>
#include <refrain/checkpoint/safetensors.hpp>
#include <refrain/checkpoint/small_files.hpp>

#include <cstdio>

namespace refrain::convert {

namespace {

namespace fs = std::filesystem;
using checkpoint::TensorInfo;

/// transformers' customary size of a shard.
constexpr int64_t shard_bytes = 5'000'000'000;

int64_t bytes_of(TensorInfo const& info) {
  return element_count(info.shape) * static_cast<int64_t>(size_of(info.dtype));
}

std::vector<std::vector<TensorInfo>> plan_shards(std::vector<TensorInfo> const& tensors) {
  std::vector<std::vector<TensorInfo>> shards(1);
  int64_t bytes = 0;
  for (auto const& info : tensors) {
    if (bytes > 0 && bytes + bytes_of(info) > shard_bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += bytes_of(info);
    shards.back().push_back(info);
  }
  return shards;
}

std::string shard_name(std::size_t shard, std::size_t shards) {
  if (shards == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard + 1, shards);
  return name;
}

void write_shard(checkpoint::TensorSource const& source, fs::path const& path, std::vector<TensorInfo> const& tensors,
                 std::function<void(int64_t)> const& advance) {
  checkpoint::SafetensorsWriter file(path, tensors);
  std::vector<std::byte> buffer;
  for (auto const& info : tensors) {
    auto const element = size_of(info.dtype);
    checkpoint::for_each_piece(info.shape, Shape(info.shape.size(), 1), element, checkpoint::piece_bytes,
                               [&](checkpoint::Slice const& piece, int64_t) {
                                 buffer.resize(static_cast<std::size_t>(element_count(piece.count)) * element);
                                 source.read(info.name, piece, buffer);
                                 file.write(buffer);
                                 advance(static_cast<int64_t>(buffer.size()));
                               });
  }
  file.finish();
}

/// model.safetensors.index.json, where there are several shards.
void write_index(fs::path const& folder, std::vector<std::vector<TensorInfo>> const& shards) {
  if (shards.size() == 1) return;
  int64_t total = 0, values = 0;
  Json map = Json::object();
  for (std::size_t i = 0; i < shards.size(); ++i)
    for (auto const& info : shards[i]) {
      map[info.name] = shard_name(i, shards.size());
      total += bytes_of(info);
      values += element_count(info.shape);
    }
  Json const index{{"metadata", {{"total_parameters", values}, {"total_size", total}}}, {"weight_map", std::move(map)}};
  checkpoint::write_synced(folder / "model.safetensors.index.json", dump_text(index, 2) + "\n");
}

}  // namespace

Exit export_model(Options const& options, comm::Communicator const& world) {
  auto temporary = checkpoint::without_trailing_slash(options.out);
  auto const out = temporary;
  temporary += ".tmp";
  std::unique_ptr<checkpoint::TensorSource> source;
  std::vector<std::vector<TensorInfo>> shards;
  int64_t total = 0;
  bool made = false;
  try {
    comm::agree(world, [&] {
      source = checkpoint::open_model(options.checkpoint);
      shards = plan_shards(source->tensors());
      for (auto const& info : source->tensors()) total += bytes_of(info);
      if (world.rank() == 0) {
        checkpoint::make_temporary_folder(out, temporary, "the model", total);
        made = true;
      }
    });
    comm::agree(world, [&] {
      int64_t done = 0;
      Progress progress("export", total / world.size(), "bytes");
      for (std::size_t i = static_cast<std::size_t>(world.rank()); i < shards.size();
           i += static_cast<std::size_t>(world.size()))
        write_shard(*source, temporary / shard_name(i, shards.size()), shards[i],
                    [&](int64_t bytes) { progress.advance(done += bytes); });
    });
    comm::agree(world, [&] {
      if (world.rank() != 0) return;
      for (auto const& name : checkpoint::small_file_names(options.checkpoint))
        checkpoint::write_synced(temporary / name, read_file(options.checkpoint / name));
      write_index(temporary, shards);
      sync_path(temporary);
      rename_durably(temporary, out);
    });
  } catch (...) {
    std::error_code ignored;
    if (made) fs::remove_all(temporary, ignored);
    throw;
  }
  if (world.rank() == 0)
    log_line("exported " + std::to_string(source->tensors().size()) + " tensors into " + options.out.string());
  return Exit::success;
}

}  // namespace refrain::convert

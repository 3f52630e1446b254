#include "commands.hpp"

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/checkpoint/adapter.hpp>
#include <refrain/checkpoint/boxes.hpp>
#include <refrain/checkpoint/safetensors.hpp>
#include <refrain/checkpoint/small_files.hpp>

#include <cstdio>
#include <optional>

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

/// What becomes of a checkpoint: a model, an adapter in PEFT's form, or a model with the adapter merged in.
struct Exported {
  checkpoint::Adapter adapter;  // of an adapter's checkpoint
  std::unique_ptr<checkpoint::TensorSource> base, source;
  fs::path small_files_from;
  std::vector<std::vector<TensorInfo>> shards;
  bool peft = false;

  explicit Exported(Options const& options) : small_files_from(options.checkpoint) {
    if (!checkpoint::is_adapter(options.checkpoint)) {
      if (options.merge)
        throw UsageError("--merge: the checkpoint holds no adapter (no adapter_config.json)",
                         "give an adapter's checkpoint, or leave --merge and --base out", {.file = options.checkpoint});
      source = checkpoint::open_model(options.checkpoint);
      shards = plan_shards(source->tensors());
      return;
    }
    adapter = checkpoint::open_adapter(options.checkpoint);
    if (options.merge) {
      if (checkpoint::is_adapter(options.base))
        throw UsageError("--base is an adapter", "name the model that the adapter was trained for",
                         {.file = options.base});
      base = checkpoint::open_model(options.base);
      source = checkpoint::merged_model(*base, adapter);
      small_files_from = options.base;
      shards = plan_shards(source->tensors());
    } else {
      source = std::move(adapter.tensors);
      shards = {source->tensors()};
      peft = true;
    }
  }

  std::string file(std::size_t shard) const {
    return peft ? checkpoint::adapter_weights_name : shard_name(shard, shards.size());
  }
  /// A folder in PEFT's form holds no configuration of the model.
  bool takes(std::string const& small_file) const {
    return !peft || (small_file != "config.json" && small_file != "generation_config.json");
  }
};

void write_shard(Exported const& what, fs::path const& path, std::vector<TensorInfo> const& tensors,
                 std::function<void(int64_t)> const& advance) {
  std::vector<TensorInfo> named = tensors;
  if (what.peft)
    for (auto& info : named) info.name = checkpoint::peft_name(info.name);
  checkpoint::SafetensorsWriter file(path, named);
  std::vector<std::byte> buffer;
  for (auto const& info : tensors) {
    auto const element = size_of(info.dtype);
    checkpoint::for_each_piece(info.shape, Shape(info.shape.size(), 1), element, checkpoint::piece_bytes,
                               [&](checkpoint::Slice const& piece, int64_t) {
                                 buffer.resize(static_cast<std::size_t>(element_count(piece.count)) * element);
                                 what.source->read(info.name, piece, buffer);
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
  std::optional<Exported> what;
  int64_t total = 0;
  bool made = false;
  try {
    comm::agree(world, [&] {
      what.emplace(options);
      for (auto const& info : what->source->tensors()) total += bytes_of(info);
      if (world.rank() == 0) {
        checkpoint::make_temporary_folder(out, temporary, "the model", total);
        made = true;
      }
    });
    comm::agree(world, [&] {
      int64_t done = 0;
      Progress progress("export", total / world.size(), "bytes");
      for (std::size_t i = static_cast<std::size_t>(world.rank()); i < what->shards.size();
           i += static_cast<std::size_t>(world.size()))
        write_shard(*what, temporary / what->file(i), what->shards[i],
                    [&](int64_t bytes) { progress.advance(done += bytes); });
    });
    comm::agree(world, [&] {
      if (world.rank() != 0) return;
      for (auto const& name : checkpoint::small_file_names(what->small_files_from))
        if (what->takes(name)) checkpoint::write_synced(temporary / name, read_file(what->small_files_from / name));
      write_index(temporary, what->shards);
      sync_path(temporary);
      rename_durably(temporary, out);
    });
  } catch (...) {
    std::error_code ignored;
    if (made) fs::remove_all(temporary, ignored);
    throw;
  }
  if (world.rank() == 0)
    log_line("exported " + std::to_string(what->source->tensors().size()) + " tensors into " + options.out.string());
  return Exit::success;
}

}  // namespace refrain::convert

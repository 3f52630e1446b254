#include <refrain/checkpoint/writer.hpp>

#include "slice_file.hpp"

#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/checkpoint/manifest.hpp>
#include <refrain/checkpoint/small_files.hpp>

#include <cstdio>

namespace refrain::checkpoint {

namespace {

namespace fs = std::filesystem;

std::string file_name(std::string const& kind, int file, int files) {
  char text[64];
  std::snprintf(text, sizeof text, "%s-%05d-of-%05d.h5", kind.c_str(), file + 1, files);
  return text;
}

int64_t bytes_of(std::vector<FilePlan> const& plans) {
  int64_t bytes = 0;
  for (auto const& plan : plans)
    for (auto const& part : plan.slices)
      bytes += element_count(part.slice.count) * static_cast<int64_t>(size_of(part.dtype));
  return bytes;
}

/// Optimizer and weights go into files of their own; an empty list makes no file.
Json write_plan(fs::path const& temporary, FilePlan const& plan, Json const& provenance) {
  auto files = Json::array();
  for (std::string const kind : {"weights", "optimizer"}) {
    std::vector<SliceToWrite> slices;
    for (auto const& part : plan.slices)
      if (part.object.starts_with("/" + kind + "/")) slices.push_back(part);
    if (!slices.empty())
      files.push_back(
          write_slice_file(temporary / file_name(kind, plan.file, plan.files), kind + ".v1", slices, provenance));
  }
  return files;
}

Manifest collect(std::vector<std::string> const& gathered, CheckpointMeta const& meta) {
  // By file name, so that the order of tensors does not depend on which rank wrote which file.
  std::map<std::string, Json> files;
  for (auto const& text : gathered)
    for (auto& file : Json::parse(text)) {
      auto const name = file.at("file").get<std::string>();
      files[name] = std::move(file);
    }
  Manifest manifest;
  manifest.training_state = meta.training_state;
  manifest.provenance = meta.provenance;
  for (auto const& [name, file] : files) {
    manifest.files[name] = file.at("size").get<int64_t>();
    for (auto const& part : file.at("slices")) {
      auto const object = part.at("object").get<std::string>();
      auto const [entry, added] = manifest.tensors.try_emplace(object);
      auto& tensor = entry->second;
      if (added) {
        manifest.order.push_back(object);
        tensor.dtype = dtype_from_string(part.at("dtype").get<std::string>());
        tensor.shape = part.at("shape").get<Shape>();
      }
      tensor.slices.push_back({name,
                               part.at("dataset").get<std::string>(),
                               {part.at("start").get<Shape>(), part.at("count").get<Shape>()},
                               part.at("xxh3").get<std::string>()});
    }
  }
  return manifest;
}

void finish_folder(fs::path const& folder, fs::path const& temporary, Manifest manifest, CheckpointMeta const& meta) {
  for (auto const& object : manifest.order) {
    std::vector<Slice> slices;
    for (auto const& stored : manifest.tensors.at(object).slices) slices.push_back(stored.slice);
    check_cover(object, manifest.tensors.at(object).shape, slices, folder);
  }
  std::map<std::string, std::string> texts = meta.small_files;
  if (!meta.small_files_from.empty())
    for (auto const& name : small_file_names(meta.small_files_from))
      if (!texts.contains(name)) texts[name] = read_file(meta.small_files_from / name);
  for (auto const& [name, text] : texts) {
    write_synced(temporary / name, text);
    manifest.small_files[name] = {static_cast<int64_t>(text.size()), sha256(text)};
  }
  write_sealed_json(temporary / "manifest.json", manifest.to_json());
  sync_path(temporary);
  rename_durably(temporary, folder);
}

}  // namespace

CheckpointWrite::CheckpointWrite(comm::Communicator const& world, fs::path const& folder, std::vector<FilePlan> mine,
                                 CheckpointMeta meta, ReadBack read_back)
    : world_(world),
      target_(without_trailing_slash(folder)),
      temporary_(target_),
      mine_(std::move(mine)),
      meta_(std::move(meta)),
      read_back_(read_back) {
  temporary_ += ".tmp";
  for (auto& plan : mine_)
    for (auto& part : plan.slices)
      part.fill = [this, fill = std::move(part.fill)](int64_t first_byte, std::span<std::byte> out) {
        if (abandoned_) throw Error("the checkpoint was abandoned", "", {.file = target_});
        fill(first_byte, out);
      };
  auto const bytes = world_.sum(bytes_of(mine_));
  comm::agree(world_, [&] {
    // A quarter of a per cent for HDF5's own structures, and some for the small files.
    if (world_.rank() == 0)
      make_temporary_folder(target_, temporary_, "the checkpoint", bytes + bytes / 400 + (int64_t{1} << 20));
  });
}

void CheckpointWrite::write(std::function<void()> const& ready) noexcept {
  try {
    ready();
    // The folder's manifest holds the whole provenance; here is what does not change from run to run, for equal bytes.
    Json const provenance{{"program", meta_.provenance.is_object() ? meta_.provenance.value("program", "") : ""},
                          {"more", "manifest.json"}};
    for (auto const& plan : mine_)
      for (auto& file : write_plan(temporary_, plan, provenance)) files_.push_back(std::move(file));
    if (read_back_ == ReadBack::no) return;
    for (auto const& file : files_) read_back_slice_file(temporary_ / file.at("file").get<std::string>(), file);
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void CheckpointWrite::finish() {
  agree_or_remove([&] {
    if (failure_) std::rethrow_exception(failure_);
  });
  auto const gathered = world_.gather(dump_text(files_), 0);
  agree_or_remove([&] {
    if (world_.rank() == 0) finish_folder(target_, temporary_, collect(gathered, meta_), meta_);
  });
}

/// Every rank is in the handler where one fails, since failures are agreed; rank 0 takes away what it made.
void CheckpointWrite::agree_or_remove(std::function<void()> const& work) const {
  try {
    comm::agree(world_, work);
  } catch (...) {
    std::error_code ignored;
    if (world_.rank() == 0) fs::remove_all(temporary_, ignored);
    throw;
  }
}

void write_checkpoint_files(comm::Communicator const& world, fs::path const& folder, std::vector<FilePlan> const& mine,
                            CheckpointMeta const& meta, ReadBack read_back) {
  CheckpointWrite checkpoint(world, folder, mine, meta, read_back);
  checkpoint.write([] {});
  checkpoint.finish();
}

void write_checkpoint(comm::Communicator const& world, fs::path const& folder, std::vector<SliceToWrite> const& mine,
                      CheckpointMeta const& meta, ReadBack read_back) {
  write_checkpoint_files(world, folder, {{.file = world.rank(), .files = world.size(), .slices = mine}}, meta,
                         read_back);
}

}  // namespace refrain::checkpoint

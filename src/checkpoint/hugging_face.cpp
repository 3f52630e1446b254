#include <refrain/checkpoint/safetensors.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/checkpoint/boxes.hpp>

#include <algorithm>
#include <set>

namespace refrain::checkpoint {

HuggingFaceSource::HuggingFaceSource(std::filesystem::path folder) {
  folder_ = std::move(folder);
  auto const single = folder_ / "model.safetensors", index = folder_ / "model.safetensors.index.json";
  if (std::filesystem::exists(single))
    add(std::make_unique<SafetensorsFile>(single));
  else if (std::filesystem::exists(index))
    open_indexed(index);
  else
    throw Error("the folder has neither model.safetensors nor model.safetensors.index.json",
                "give a folder with safetensors weights (transformers' save_pretrained writes them)",
                {.file = folder_});
  if (tensors_.empty())
    throw Error("the folder's files hold no tensors", "download the model again", {.file = folder_});
}

std::vector<std::filesystem::path> HuggingFaceSource::files() const {
  std::vector<std::filesystem::path> paths;
  for (auto const& file : files_) paths.push_back(file->path());
  return paths;
}

HuggingFaceSource::HuggingFaceSource(std::filesystem::path folder, std::string const& file, std::string const& prefix) {
  folder_ = std::move(folder);
  if (!std::filesystem::exists(folder_ / file))
    throw Error("the folder has no " + file, "restore it from where the folder came", {.file = folder_});
  add(std::make_unique<SafetensorsFile>(folder_ / file), prefix);
}

void HuggingFaceSource::add(std::unique_ptr<SafetensorsFile> file, std::string const& prefix) {
  for (auto const& entry : file->entries()) {
    TensorInfo info = entry.info;
    if (!info.name.starts_with(prefix))
      throw Error("the tensor's name does not begin with " + prefix, "give a file that PEFT wrote",
                  {.file = file->path(), .object = info.name});
    info.name = info.name.substr(prefix.size());
    if (!places_.try_emplace(info.name, files_.size(), entry.begin).second)
      throw Error("the tensor stands in two files", "download the model again",
                  {.file = file->path(), .object = entry.info.name});
    tensors_.push_back(std::move(info));
  }
  files_.push_back(std::move(file));
}

void HuggingFaceSource::open_indexed(std::filesystem::path const& index) {
  auto const json = read_json(index);
  auto const map = json_get<Json>(json, "weight_map", index);
  if (!map.is_object() || map.empty())
    throw Error("'weight_map' is not an object with tensors", "download the model again", {.file = index});
  std::set<std::string> files;
  for (auto const& [name, file] : map.items()) {
    if (!file.is_string() || file.get<std::string>().find('/') != std::string::npos ||
        !file.get<std::string>().ends_with(".safetensors"))
      throw Error("the tensor's file is " + dump_text(file) + ", not the name of a safetensors file",
                  "download the model again", {.file = index, .object = name});
    files.insert(file.get<std::string>());
  }
  for (auto const& file : files) {
    if (!std::filesystem::exists(folder_ / file))
      throw Error("the index names " + file + ", which is not there", "download the model again", {.file = index});
    auto opened = std::make_unique<SafetensorsFile>(folder_ / file);
    for (auto const& entry : opened->entries())
      if (auto const found = map.find(entry.info.name); found == map.end() || *found != file)
        throw Error("the tensor is in " + file + ", the index does not say so", "download the model again",
                    {.file = index, .object = entry.info.name});
    add(std::move(opened));
  }
  for (auto const& [name, file] : map.items())
    if (!places_.contains(name))
      throw Error("the index says the tensor is in " + file.get<std::string>() + ", it is not",
                  "download the model again", {.file = index, .object = name});
}

void HuggingFaceSource::read(std::string const& name, Slice const& slice, std::span<std::byte> out) const {
  auto const& known = info(name);
  auto const [file, begin] = places_.at(name);
  auto const element = size_of(known.dtype);
  check_request(slice, known.shape, element, out.size(), {.file = files_[file]->path(), .object = name});
  if (out.empty()) return;
  // Whole rows (of all axes but the first) around the box are read piece by piece, and the box copied out of them.
  auto around = whole(known.shape);
  if (!around.count.empty()) {
    around.start[0] = slice.start[0];
    around.count[0] = slice.count[0];
  }
  int64_t first_element = around.start.empty() ? 0 : around.start[0];
  for (std::size_t axis = 1; axis < around.count.size(); ++axis) first_element *= around.count[axis];
  int64_t const from = begin + first_element * static_cast<int64_t>(element);
  if (around.count == slice.count) return files_[file]->read_at(from, out, name);
  std::vector<std::byte> buffer;
  for_each_piece(around.count, Shape(around.count.size(), 1), element, piece_bytes, [&](Slice piece, int64_t first) {
    for (std::size_t axis = 0; axis < piece.start.size(); ++axis) piece.start[axis] += around.start[axis];
    auto const wanted = intersection(piece, slice);
    if (!wanted) return;
    buffer.resize(static_cast<std::size_t>(element_count(piece.count)) * element);
    files_[file]->read_at(from + first * static_cast<int64_t>(element), buffer, name);
    copy_box(buffer, piece, out, slice, *wanted, element);
  });
}

}  // namespace refrain::checkpoint

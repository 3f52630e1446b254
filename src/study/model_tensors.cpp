#include <refrain/base/error.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/study/model_tensors.hpp>

#include <array>
#include <fstream>
#include <optional>
#include <set>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// What follows `prefix` in a name that begins so.
std::optional<std::string> behind(std::string const& prefix, std::string const& name) {
  return name.starts_with(prefix) ? std::optional(name.substr(prefix.size())) : std::nullopt;
}

std::vector<ModelTensor> read_manifest(fs::path const& path) {
  std::vector<ModelTensor> weights, masters;
  auto const tensors = json_get<Json>(read_json(path), "tensors", path);
  for (auto const& [object, entry] : tensors.items()) {
    ModelTensor tensor{.name = {}, .shape = json_get<Shape>(entry, "shape", path)};
    tensor.bytes = element_count(tensor.shape) *
                   static_cast<int64_t>(size_of(dtype_from_string(json_get<std::string>(entry, "dtype", path))));
    for (auto const& [prefix, found] : {std::pair{"/weights/", &weights}, std::pair{"/optimizer/master/", &masters}})
      if (auto const name = behind(prefix, object)) {
        tensor.name = *name;
        found->push_back(tensor);
      }
  }
  return weights.empty() ? masters : weights;
}

/// The header of a safetensors file: its length in 8 bytes, little-endian, and JSON.
void read_safetensors(fs::path const& path, std::vector<ModelTensor>& tensors) {
  constexpr uint64_t most_header_bytes = 100'000'000;  // safetensors' own limit
  std::ifstream in(path, std::ios::binary);
  if (!in) throw system_error("open the file", {}, {.file = path});
  std::array<unsigned char, 8> prefix{};
  in.read(reinterpret_cast<char*>(prefix.data()), prefix.size());
  uint64_t length = 0;
  for (std::size_t i = prefix.size(); i-- > 0;) length = length << 8 | prefix[i];
  std::string header(in && length <= most_header_bytes ? length : 0, '\0');
  in.read(header.data(), static_cast<std::streamsize>(header.size()));
  if (!in || header.empty())
    throw Error("not a safetensors file, or one that is cut off", "download the model again", {.file = path});
  auto const entries = parse_json(header, path);
  for (auto const& [name, entry] : entries.items()) {
    if (name == "__metadata__") continue;
    auto const offsets = json_get<std::vector<int64_t>>(entry, "data_offsets", path);
    if (offsets.size() != 2)
      throw Error("'data_offsets' are not two numbers", "download the model again", {.file = path, .object = name});
    tensors.push_back({.name = name, .shape = json_get<Shape>(entry, "shape", path), .bytes = offsets[1] - offsets[0]});
  }
}

/// The weights files of a folder of Hugging Face's or PEFT's.
std::set<fs::path> weights_files(fs::path const& model) {
  auto const index = model / "model.safetensors.index.json", adapter = model / "adapter_model.safetensors";
  if (fs::exists(adapter)) return {adapter};
  if (!fs::exists(index)) return {model / "model.safetensors"};
  std::set<fs::path> files;
  auto const map = json_get<Json>(read_json(index), "weight_map", index);
  for (auto const& [tensor, file] : map.items()) files.insert(model / json_get<std::string>(map, tensor, index));
  return files;
}

}  // namespace

std::vector<ModelTensor> model_tensors(fs::path const& model) {
  std::vector<ModelTensor> tensors;
  if (auto const manifest = model / "manifest.json"; fs::exists(manifest))
    tensors = read_manifest(manifest);
  else
    for (auto const& file : weights_files(model)) read_safetensors(file, tensors);
  if (count_parameters(tensors) == 0) throw Error("the model has no parameters", "give another model", {.file = model});
  return tensors;
}

std::string lacking_file(fs::path const& model) {
  for (auto const* name : {"config.json", "tokenizer.json"})
    if (!fs::exists(model / name)) return name;
  return {};
}

int64_t count_parameters(std::vector<ModelTensor> const& tensors) {
  int64_t count = 0;
  for (auto const& tensor : tensors) count += element_count(tensor.shape);
  return count;
}

int64_t count_parameters(fs::path const& model) { return count_parameters(model_tensors(model)); }

}  // namespace refrain::study

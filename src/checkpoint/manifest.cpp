#include <refrain/checkpoint/manifest.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/checkpoint/boxes.hpp>

#include <algorithm>
#include <map>

namespace refrain::checkpoint {

namespace {

auto const again = "the checkpoint is damaged; use another one, or make it again";

Shape read_shape(Json const& object, char const* key, std::filesystem::path const& path, std::string const& name) {
  auto const shape = json_get<std::vector<int64_t>>(object, key, path);
  int64_t elements = 1;
  for (auto const length : shape) {
    if (length < 0 || (length > 0 && elements > most_elements / length))
      throw Error("'" + std::string(key) + "' is negative or enormous", again, {.file = path, .object = name});
    elements *= std::max<int64_t>(length, 1);
  }
  return shape;
}

/// A name of a file in the folder itself, so that a manifest cannot point elsewhere.
std::string plain_name(std::string const& name, std::filesystem::path const& path) {
  if (name.empty() || name.find('/') != std::string::npos || name.front() == '.')
    throw Error("'" + name + "' is not the name of a file in the folder", again, {.file = path});
  return name;
}

StoredTensor read_tensor(std::string const& object, Json const& json, Manifest const& manifest,
                         std::filesystem::path const& path) {
  StoredTensor tensor{.dtype = dtype_from_string(json_get<std::string>(json, "dtype", path)),
                      .shape = read_shape(json, "shape", path, object),
                      .slices = {}};
  std::vector<Slice> slices;
  for (auto const& entry : json_get<std::vector<Json>>(json, "slices", path)) {
    StoredSlice slice{.file = json_get<std::string>(entry, "file", path),
                      .dataset = json_get_or<std::string>(entry, "dataset", object, path),
                      .slice = {read_shape(entry, "start", path, object), read_shape(entry, "count", path, object)},
                      .xxh3 = json_get<std::string>(entry, "xxh3", path)};
    if (!manifest.files.contains(slice.file))
      throw Error("a slice is in " + slice.file + ", which the manifest does not list", again,
                  {.file = path, .object = object});
    slices.push_back(slice.slice);
    tensor.slices.push_back(std::move(slice));
  }
  check_cover(object, tensor.shape, slices, path);
  return tensor;
}

}  // namespace

void check_cover(std::string const& object, Shape const& shape, std::vector<Slice> const& slices,
                 std::filesystem::path const& path) {
  Place const place{.file = path, .object = object};
  int64_t elements = 0;
  for (auto const& slice : slices) {
    check_request(slice, shape, 1, static_cast<std::size_t>(element_count(slice.count)), place);
    elements += element_count(slice.count);
  }
  if (elements != element_count(shape))
    throw Error("the slices hold " + std::to_string(elements) + " of " + std::to_string(element_count(shape)) +
                    " elements",
                again, place);
  // As many elements as the tensor and no two slices with one in common: each element exactly once. Sorted by the first
  // axis, only slices that begin before this one ends can meet it.
  std::vector<Slice const*> sorted;
  for (auto const& slice : slices) sorted.push_back(&slice);
  if (shape.empty()) {
    if (slices.size() > 1) throw Error("two slices overlap", again, place);
    return;
  }
  std::sort(sorted.begin(), sorted.end(), [](Slice const* a, Slice const* b) { return a->start < b->start; });
  for (std::size_t i = 0; i < sorted.size(); ++i)
    for (std::size_t j = i + 1; j < sorted.size() && sorted[j]->start[0] < sorted[i]->start[0] + sorted[i]->count[0];
         ++j)
      if (intersection(*sorted[i], *sorted[j])) throw Error("two slices overlap", again, place);
}

Json Manifest::to_json() const {
  Json json;
  json["format"] = "refrain-checkpoint";
  json["version"] = version;
  json["training_state"] = training_state;
  json["provenance"] = provenance;
  json["small_files"] = Json::object();
  for (auto const& [name, file] : small_files)
    json["small_files"][name] = {{"size", file.size}, {"sha256", file.sha256}};
  json["files"] = Json::object();
  for (auto const& [name, size] : files) json["files"][name] = size;
  json["tensors"] = Json::object();
  for (auto const& object : order) {
    auto const& tensor = tensors.at(object);
    auto slices = Json::array();
    for (auto const& slice : tensor.slices) {
      Json entry{
          {"file", slice.file}, {"start", slice.slice.start}, {"count", slice.slice.count}, {"xxh3", slice.xxh3}};
      if (slice.dataset != object) entry["dataset"] = slice.dataset;
      slices.push_back(std::move(entry));
    }
    json["tensors"][object] = {
        {"dtype", to_string(tensor.dtype)}, {"shape", tensor.shape}, {"slices", std::move(slices)}};
  }
  return json;
}

Manifest Manifest::load(std::filesystem::path const& folder) {
  auto const path = folder / "manifest.json";
  auto const json = read_sealed_json(path);
  if (json_get_or<std::string>(json, "format", "", path) != "refrain-checkpoint")
    throw Error("not the manifest of a checkpoint", "give a folder that refrain-convert or refrain-train wrote",
                {.file = path});
  if (auto const found = json_get<int64_t>(json, "version", path); found != version)
    throw Error("the checkpoint has format version " + std::to_string(found) + ", this program knows " +
                    std::to_string(version),
                "use the version of Refrain that wrote it", {.file = path});
  Manifest manifest;
  manifest.training_state = json_get<Json>(json, "training_state", path);
  manifest.provenance = json_get<Json>(json, "provenance", path);
  auto const small_files = json_get<Json>(json, "small_files", path), files = json_get<Json>(json, "files", path),
             tensors = json_get<Json>(json, "tensors", path);
  for (auto const& [name, file] : small_files.items())
    manifest.small_files[plain_name(name, path)] = {json_get<int64_t>(file, "size", path),
                                                    json_get<std::string>(file, "sha256", path)};
  for (auto const& [name, size] : files.items()) {
    if (!size.is_number_integer()) throw Error("the size of " + name + " is " + dump_text(size), again, {.file = path});
    manifest.files[plain_name(name, path)] = size.get<int64_t>();
  }
  for (auto const& [object, tensor] : tensors.items()) {
    manifest.tensors[object] = read_tensor(object, tensor, manifest, path);
    manifest.order.push_back(object);
  }
  return manifest;
}

bool Manifest::resumable() const {
  return std::any_of(order.begin(), order.end(),
                     [](std::string const& object) { return object.starts_with("/optimizer/"); });
}

}  // namespace refrain::checkpoint

#include <refrain/checkpoint/checkpoint.hpp>

#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/checkpoint/adapter.hpp>
#include <refrain/checkpoint/boxes.hpp>
#include <refrain/checkpoint/model_config.hpp>
#include <refrain/h5/reader.hpp>

namespace refrain::checkpoint {

namespace {

auto const again = "the checkpoint is damaged; use another one, or make it again";
std::string const weights = "/weights/", master = "/optimizer/master/";

}  // namespace

Checkpoint::Checkpoint(std::filesystem::path folder) {
  folder_ = std::move(folder);
  manifest_ = Manifest::load(folder_);
  verify_small_files();
  for (auto const& [name, size] : manifest_.files) {
    std::error_code failed;
    auto const found = std::filesystem::file_size(folder_ / name, failed);
    if (failed) throw Error("the checkpoint lacks the file", again, {.file = folder_ / name});
    if (static_cast<int64_t>(found) != size)
      throw Error("has " + std::to_string(found) + " bytes, the manifest says " + std::to_string(size), again,
                  {.file = folder_ / name});
  }
  // Weights are there, or they are the master values rounded.
  bool const rounded = manifest_.resumable();
  // An adapter is small, and its model may be elsewhere: its values stay as they are.
  auto const dtype = rounded && !is_adapter(folder_) ? ModelConfig::load(folder_).dtype : DType::fp32;
  auto const& prefix = rounded ? master : weights;
  for (auto const& object : manifest_.order)
    if (object.starts_with(prefix)) {
      auto const& tensor = manifest_.tensors.at(object);
      tensors_.push_back(
          {.name = object.substr(prefix.size()), .dtype = rounded ? dtype : tensor.dtype, .shape = tensor.shape});
    }
}

Checkpoint::~Checkpoint() = default;

h5::Reader& Checkpoint::reader(std::string const& file) const {
  auto& reader = readers_[file];
  if (!reader)
    reader =
        std::make_unique<h5::Reader>(folder_ / file, file.starts_with("optimizer-") ? "optimizer.v1" : "weights.v1");
  return *reader;
}

void Checkpoint::read(std::string const& name, Slice const& slice, std::span<std::byte> out) const {
  auto const& known = info(name);
  if (!manifest_.resumable()) return read_object(weights + name, slice, out);
  if (known.dtype == DType::fp32) return read_object(master + name, slice, out);
  std::vector<std::byte> buffer;
  auto const element = size_of(known.dtype);
  check_request(slice, known.shape, element, out.size(), {.file = folder_, .object = name});
  for_each_piece(
      slice.count, Shape(slice.count.size(), 1), sizeof(float), piece_bytes, [&](Slice piece, int64_t first) {
        auto const elements = static_cast<std::size_t>(element_count(piece.count));
        for (std::size_t axis = 0; axis < piece.start.size(); ++axis) piece.start[axis] += slice.start[axis];
        buffer.resize(elements * sizeof(float));
        read_object(master + name, piece, buffer);
        convert_values(buffer, DType::fp32, out.subspan(static_cast<std::size_t>(first) * element, elements * element),
                       known.dtype);
      });
}

void Checkpoint::read_object(std::string const& object, Slice const& slice, std::span<std::byte> out) const {
  auto const found = manifest_.tensors.find(object);
  if (found == manifest_.tensors.end())
    throw Error("the checkpoint does not hold " + object, "give a checkpoint of this model", {.file = folder_});
  auto const& tensor = found->second;
  check_request(slice, tensor.shape, size_of(tensor.dtype), out.size(), {.file = folder_, .object = object});
  if (out.empty()) return;
  for (auto const& stored : tensor.slices)
    if (intersection(stored.slice, slice)) read_stored(tensor, stored, slice, out);
}

void Checkpoint::check_stored(StoredTensor const& tensor, StoredSlice const& stored) const {
  auto const& known = reader(stored.file).info(stored.dataset);
  if (known.dtype != tensor.dtype || known.shape != stored.slice.count)
    throw Error("is " + to_string(known.dtype) + " " + to_string(known.shape) + ", the manifest says " +
                    to_string(tensor.dtype) + " " + to_string(stored.slice.count),
                again, {.file = folder_ / stored.file, .object = stored.dataset});
}

void Checkpoint::read_stored(StoredTensor const& tensor, StoredSlice const& stored, Slice const& slice,
                             std::span<std::byte> out) const {
  check_stored(tensor, stored);
  auto& file = reader(stored.file);
  auto const& known = file.info(stored.dataset);
  // The digest is over the whole stored slice, so the first read goes through all of it, piece by piece.
  bool const known_sound = verified_.contains(&stored);
  auto const box = known_sound ? *intersection(stored.slice, slice) : stored.slice;
  auto const element = size_of(tensor.dtype);
  auto const grain = known_sound || known.chunk.empty() ? Shape(box.count.size(), 1) : known.chunk;
  Xxh3 digest;
  std::vector<std::byte> buffer;
  for_each_piece(box.count, grain, element, piece_bytes, [&](Slice piece, int64_t) {
    auto in_file = piece.start;
    for (std::size_t axis = 0; axis < piece.start.size(); ++axis) {
      in_file[axis] += box.start[axis] - stored.slice.start[axis];
      piece.start[axis] += box.start[axis];
    }
    buffer.resize(static_cast<std::size_t>(element_count(piece.count)) * element);
    file.read_box(stored.dataset, in_file, piece.count, buffer);
    if (!known_sound) digest.update(buffer);
    if (auto const wanted = intersection(piece, slice)) copy_box(buffer, piece, out, slice, *wanted, element);
  });
  if (known_sound) return;
  if (digest.hex() != stored.xxh3)
    throw Error("the values do not match their digest in manifest.json", again,
                {.file = folder_ / stored.file, .object = stored.dataset});
  verified_.insert(&stored);
}

void Checkpoint::verify_small_files() const {
  for (auto const& [name, expected] : manifest_.small_files) {
    auto const path = folder_ / name;
    std::error_code failed;
    auto const size = std::filesystem::file_size(path, failed);
    if (failed) throw Error("the checkpoint lacks the file", again, {.file = path});
    if (static_cast<int64_t>(size) != expected.size)
      throw Error("has " + std::to_string(size) + " bytes, the manifest says " + std::to_string(expected.size), again,
                  {.file = path});
    if (sha256_file(path) != expected.sha256)
      throw Error("does not match its sha256 in manifest.json", again, {.file = path});
  }
}

void Checkpoint::check_structure() const {
  for (auto const& [name, size] : manifest_.files) reader(name);
  for (auto const& [object, tensor] : manifest_.tensors)
    for (auto const& stored : tensor.slices) check_stored(tensor, stored);
}

void Checkpoint::verify_file(std::string const& name) const {
  for (auto const& [dataset, info] : reader(name).datasets())
    if (!info.checksummed) throw Error("has no checksums", again, {.file = folder_ / name, .object = dataset});
  for (auto const& object : manifest_.order) {
    auto const& tensor = manifest_.tensors.at(object);
    // One element of each slice is asked for: its digest is checked over all of it.
    std::vector<std::byte> element(size_of(tensor.dtype));
    for (auto const& stored : tensor.slices) {
      if (stored.file != name) continue;
      check_stored(tensor, stored);
      if (element_count(stored.slice.count) > 0)
        read_stored(tensor, stored, {stored.slice.start, Shape(stored.slice.start.size(), 1)}, element);
    }
  }
}

void Checkpoint::verify() const {
  for (auto const& [name, size] : manifest_.files) verify_file(name);
}

}  // namespace refrain::checkpoint

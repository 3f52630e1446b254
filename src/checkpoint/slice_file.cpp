#include "slice_file.hpp"

#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/checkpoint/boxes.hpp>
#include <refrain/checkpoint/small_files.hpp>
#include <refrain/h5/reader.hpp>
#include <refrain/h5/writer.hpp>

#include <cstring>
#include <map>

namespace refrain::checkpoint {

namespace {

template <class Word>
bool any_non_finite(std::span<std::byte const> values, Word exponent) {
  Word found = 0;
  for (std::size_t at = 0; at + sizeof(Word) <= values.size(); at += sizeof(Word)) {
    Word word;
    std::memcpy(&word, values.data() + at, sizeof(Word));
    // No branch in the loop, so that it becomes vector code.
    found |= static_cast<Word>((word & exponent) == exponent);
  }
  return found != 0;
}

}  // namespace

void refuse_non_finite(std::span<std::byte const> values, DType dtype, Place const& place) {
  bool found = false;
  if (dtype == DType::fp32) found = any_non_finite<uint32_t>(values, 0x7f800000u);
  if (dtype == DType::bf16) found = any_non_finite<uint16_t>(values, 0x7f80);
  if (dtype == DType::fp16) found = any_non_finite<uint16_t>(values, 0x7c00);
  if (found)
    throw Error("holds NaN or Inf and is not written",
                "look where the numbers break: a lower learning rate, fp32, or a sound model", place);
}

Json write_slice_file(std::filesystem::path const& path, std::string const& schema,
                      std::vector<SliceToWrite> const& slices, Json const& provenance) {
  h5::Writer file(path, schema, provenance, h5::Commit::in_place);
  auto written = Json::array();
  std::map<std::string, int> times;
  std::vector<std::byte> buffer;
  for (auto const& part : slices) {
    auto const count = element_count(part.slice.count);
    if (count == 0 && element_count(part.global_shape) != 0) continue;
    int const nth = ++times[part.object];
    auto const dataset = nth == 1 ? part.object : part.object + "@" + std::to_string(nth);
    auto const element = size_of(part.dtype);
    file.create(dataset, part.dtype, part.slice.count);
    file.attribute(dataset, "start", part.slice.start);
    file.attribute(dataset, "global_shape", part.global_shape);
    Xxh3 digest;
    for_each_piece(part.slice.count, h5::chunk_shape(part.slice.count, element), element, piece_bytes,
                   [&](Slice const& piece, int64_t first) {
                     buffer.resize(static_cast<std::size_t>(element_count(piece.count)) * element);
                     part.fill(first * static_cast<int64_t>(element), buffer);
                     refuse_non_finite(buffer, part.dtype, {.object = part.object});
                     digest.update(buffer);
                     file.write_box(dataset, piece.start, piece.count, buffer);
                   });
    written.push_back({{"object", part.object},
                       {"dtype", to_string(part.dtype)},
                       {"shape", part.global_shape},
                       {"start", part.slice.start},
                       {"count", part.slice.count},
                       {"dataset", dataset},
                       {"xxh3", digest.hex()}});
  }
  file.finish();
  return Json{
      {"file", path.filename().string()}, {"size", std::filesystem::file_size(path)}, {"slices", std::move(written)}};
}

void read_back_slice_file(std::filesystem::path const& path, Json const& written) {
  drop_page_cache(path);
  h5::Reader const file(path);
  std::vector<std::byte> buffer;
  for (auto const& part : written.at("slices")) {
    auto const dataset = part.at("dataset").get<std::string>();
    auto const& info = file.info(dataset);
    Xxh3 digest;
    for_each_piece(info.shape, info.chunk, size_of(info.dtype), piece_bytes, [&](Slice const& piece, int64_t) {
      buffer.resize(static_cast<std::size_t>(element_count(piece.count)) * size_of(info.dtype));
      file.read_box(dataset, piece.start, piece.count, buffer);
      digest.update(buffer);
    });
    if (digest.hex() != part.at("xxh3"))
      throw Error("what was read back from the disk is not what was written",
                  "the disk or its file system loses data; write elsewhere", {.file = path, .object = dataset});
  }
}

}  // namespace refrain::checkpoint

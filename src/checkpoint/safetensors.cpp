#include <refrain/checkpoint/safetensors.hpp>

#include <refrain/base/activity.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/json_file.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <set>

namespace refrain::checkpoint {

namespace {

/// The format's own limit.
constexpr int64_t most_header_bytes = 100'000'000;
auto const again = "the file is damaged or truncated; download it again";

std::optional<DType> dtype_named(std::string const& name) {
  if (name == "BF16") return DType::bf16;
  if (name == "F16") return DType::fp16;
  if (name == "F32") return DType::fp32;
  return std::nullopt;
}

/// Parses the header and refuses a name that stands twice, which a JSON object would swallow.
Json parse_unique(std::string const& header, std::filesystem::path const& path) {
  std::set<std::string> names;
  std::string twice;
  Json::parser_callback_t const watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::key && depth == 1 && !names.insert(value.get<std::string>()).second)
      twice = value.get<std::string>();
    return true;
  };
  auto const json = Json::parse(header, watch, false);
  if (!json.is_object()) throw Error("the header is not a JSON object", again, {.file = path});
  if (!twice.empty()) throw Error("the tensor stands twice in the header", again, {.file = path, .object = twice});
  return json;
}

}  // namespace

std::string safetensors_name(DType dtype) {
  switch (dtype) {
    case DType::bf16: return "BF16";
    case DType::fp16: return "F16";
    case DType::fp32: return "F32";
    default: throw Error("safetensors files of models hold bf16, fp16 and fp32, not " + to_string(dtype));
  }
}

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : path_(std::move(path)), file_(path_, File::Mode::read) {
  struct stat status{};
  if (!file_.is_open() || ::fstat(file_.descriptor(), &status) != 0)
    throw system_error("read the file", {}, {.file = path_});
  if (S_ISDIR(status.st_mode)) throw Error("this is a folder, not a file", again, {.file = path_});
  auto const size = static_cast<int64_t>(status.st_size);
  if (size < 8)
    throw Error("not a safetensors file: it has " + std::to_string(size) + " bytes", again, {.file = path_});
  unsigned char prefix[8];
  read_at(0, std::as_writable_bytes(std::span(prefix)), {});
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | prefix[i];
  if (length > static_cast<uint64_t>(std::min(most_header_bytes, size - 8)))
    throw Error("not a safetensors file: its header is said to have " + std::to_string(length) +
                    " bytes, the file has " + std::to_string(size),
                again, {.file = path_});
  std::string header(length, '\0');
  read_at(8, std::as_writable_bytes(std::span(header)), {});
  parse_header(header, 8 + static_cast<int64_t>(length), size);
}

void SafetensorsFile::parse_header(std::string const& header, int64_t data_begin, int64_t file_size) {
  auto const json = parse_unique(header, path_);
  auto const room = file_size - data_begin;
  for (auto const& [name, entry] : json.items()) {
    if (name == "__metadata__") continue;
    Place const place{.file = path_, .object = name};
    auto const get = [&](char const* key) {
      if (!entry.is_object() || !entry.contains(key))
        throw Error("the header has no '" + std::string(key) + "' for the tensor", again, place);
      return entry.at(key);
    };
    auto const type = get("dtype"), shape = get("shape"), offsets = get("data_offsets");
    if (!type.is_string() || !shape.is_array() || !offsets.is_array() || offsets.size() != 2)
      throw Error("the header's entry is malformed", again, place);
    auto const dtype = dtype_named(type.get<std::string>());
    if (!dtype)
      throw Error("dtype is " + type.get<std::string>() + ", supported are BF16, F16 and F32",
                  "use an unquantized model", place);

    TensorInfo info{.name = name, .dtype = *dtype, .shape = {}};
    auto bytes = static_cast<int64_t>(size_of(*dtype));
    for (auto const& length : shape) {
      if (!length.is_number_unsigned())
        throw Error("the shape " + dump_text(shape) + " is not made of counts", again, place);
      auto const count = length.get<uint64_t>();
      // The product of what came before stays within the file, so this cannot overflow.
      if (count > static_cast<uint64_t>(room) || (count > 0 && bytes > room / static_cast<int64_t>(count)))
        throw Error("the shape " + dump_text(shape) + " needs more bytes than the file has", again, place);
      info.shape.push_back(static_cast<int64_t>(count));
      bytes *= static_cast<int64_t>(count);
    }
    for (auto const& offset : offsets)
      if (!offset.is_number_unsigned() || offset.get<uint64_t>() > static_cast<uint64_t>(room))
        throw Error("data_offsets " + dump_text(offsets) + " lie outside the file's " + std::to_string(room) +
                        " bytes of data",
                    again, place);
    auto const begin = offsets[0].get<int64_t>(), end = offsets[1].get<int64_t>();
    if (end - begin != bytes)
      throw Error("data_offsets " + dump_text(offsets) + " do not hold a " + type.get<std::string>() + " tensor of " +
                      to_string(info.shape),
                  again, place);
    entries_.push_back({.info = std::move(info), .begin = data_begin + begin});
  }
  std::stable_sort(entries_.begin(), entries_.end(), [](Entry const& a, Entry const& b) { return a.begin < b.begin; });
  int64_t next = data_begin;
  for (auto const& entry : entries_) {
    if (entry.begin != next)
      throw Error(entry.begin < next ? "overlaps the tensor before it" : "leaves a gap behind the tensor before it",
                  again, {.file = path_, .object = entry.info.name});
    next += element_count(entry.info.shape) * static_cast<int64_t>(size_of(entry.info.dtype));
  }
  if (next != file_size)
    throw Error("the tensors end at byte " + std::to_string(next) + ", the file at " + std::to_string(file_size), again,
                {.file = path_});
}

void SafetensorsFile::read_at(int64_t offset, std::span<std::byte> out, std::string const& object) const {
  while (!out.empty()) {
    auto const done = file_.read_some_at(offset, out.first(std::min(out.size(), std::size_t{64} << 20)));
    if (done < 0) throw system_error("read the file", {}, {.file = path_, .object = object});
    if (done == 0) throw Error("the file ends too early", again, {.file = path_, .object = object});
    note_activity();
    out = out.subspan(static_cast<std::size_t>(done));
    offset += done;
  }
}

}  // namespace refrain::checkpoint

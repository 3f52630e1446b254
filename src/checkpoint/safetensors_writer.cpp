#include <refrain/checkpoint/safetensors.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/json_file.hpp>

#include <unistd.h>

#include <utility>

namespace refrain::checkpoint {

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<TensorInfo> const& tensors)
    : path_(std::move(path)), temporary_(path_.string() + ".tmp"), file_(temporary_, File::Mode::replace) {
  if (!file_.is_open()) throw system_error("create the file", {}, {.file = path_});
  Json header;
  header["__metadata__"] = {{"format", "pt"}};
  int64_t begin = 0;
  for (auto const& tensor : tensors) {
    auto const end = begin + element_count(tensor.shape) * static_cast<int64_t>(size_of(tensor.dtype));
    header[tensor.name] = {
        {"dtype", safetensors_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  auto text = dump_text(header);
  // The data begins on a multiple of 8.
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string prefix(8, '\0');
  for (int i = 0; i < 8; ++i) prefix[static_cast<std::size_t>(i)] = static_cast<char>(text.size() >> (8 * i));
  text.insert(0, prefix);
  try {
    write(std::as_bytes(std::span(text)));
  } catch (...) {
    discard();
    throw;
  }
}

SafetensorsWriter::~SafetensorsWriter() { discard(); }

void SafetensorsWriter::discard() noexcept {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void SafetensorsWriter::write(std::span<std::byte const> bytes) {
  if (!file_.write_all(bytes))
    throw system_error("write the file", "free space on the disk, then start again", {.file = path_});
}

void SafetensorsWriter::finish() {
  if (!file_.sync() || !file_.close())
    throw system_error("sync the file", "free space on the disk, then start again", {.file = path_});
  rename_durably(temporary_, path_);
  temporary_.clear();
}

}  // namespace refrain::checkpoint

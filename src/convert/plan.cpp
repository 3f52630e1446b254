#include "commands.hpp"

namespace refrain::convert {

namespace {

constexpr int64_t file_bytes = int64_t{1} << 30;

}  // namespace

checkpoint::SliceToWrite whole_tensor(checkpoint::TensorInfo const& info, DType dtype,
                                      std::function<void(int64_t first_element, std::span<std::byte> out)> fill) {
  return {.object = "/weights/" + info.name,
          .dtype = dtype,
          .global_shape = info.shape,
          .slice = {.start = Shape(info.shape.size(), 0), .count = info.shape},
          .fill = [element = static_cast<int64_t>(size_of(dtype)), fill = std::move(fill)](
                      int64_t first_byte, std::span<std::byte> out) { fill(first_byte / element, out); }};
}

std::vector<checkpoint::FilePlan> plan_files(std::vector<checkpoint::SliceToWrite> tensors,
                                             comm::Communicator const& world) {
  std::vector<checkpoint::FilePlan> files;
  int64_t room = 0;
  for (auto& tensor : tensors) {
    auto const bytes = element_count(tensor.global_shape) * static_cast<int64_t>(size_of(tensor.dtype));
    if (files.empty() || bytes > room) {
      files.push_back({.file = static_cast<int>(files.size()), .files = 0, .slices = {}});
      room = file_bytes;
    }
    room -= bytes;
    files.back().slices.push_back(std::move(tensor));
  }
  std::vector<checkpoint::FilePlan> mine;
  for (auto& file : files)
    if (file.file % world.size() == world.rank()) {
      file.files = static_cast<int>(files.size());
      mine.push_back(std::move(file));
    }
  return mine;
}

}  // namespace refrain::convert

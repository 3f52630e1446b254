#include <refrain/model/device_errors.hpp>

#include <c10/util/Exception.h>

namespace refrain::model {
namespace {

// A message's first sentence, or line.
std::string beginning(std::string const& text, std::size_t sentences) {
  std::string const line = text.substr(0, text.find('\n'));
  std::size_t end = 0;
  for (std::size_t i = 0; i < sentences && end != std::string::npos; ++i) end = line.find(". ", end == 0 ? 0 : end + 2);
  return line.substr(0, end);
}

}  // namespace

std::optional<Error> device_error(std::exception const& thrown) {
  auto const* error = dynamic_cast<c10::Error const*>(&thrown);
  if (error == nullptr) return std::nullopt;
  std::string const text = error->what_without_backtrace();
  char const* const helps =
      "lower --micro-batch-tokens or --logits-chunk-rows, raise --tensor-parallel, or take more ranks";
  if (dynamic_cast<c10::OutOfMemoryError const*>(error) != nullptr)
    // "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ... of which ... is free."
    return Error("the GPU's memory is full: " + beginning(text, 3), helps);
  if (text.find("DefaultCPUAllocator") != std::string::npos)
    return Error("the host's memory is full: " + beginning(text, 1), helps);
  if (text.find("host memory") != std::string::npos || text.find("pinned") != std::string::npos)
    return Error("the host's memory for checkpoints is full: " + beginning(text, 1),
                 "give --background-checkpoints off, or take fewer ranks a node");
  if (text.find("CUDA error") != std::string::npos)
    return Error(beginning(text, 1), "look at this node's GPU with nvidia-smi; CUDA_LAUNCH_BLOCKING=1 finds the place");
  return Error(beginning(text, 1));
}

void with_device_errors(std::function<void()> const& work) {
  try {
    work();
  } catch (c10::Error const& thrown) {
    throw *device_error(thrown);
  }
}

}  // namespace refrain::model

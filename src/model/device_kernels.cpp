#include "device_kernels.hpp"

#include <refrain/base/error.hpp>

namespace refrain::model::kernels {
namespace {

std::unique_ptr<DeviceKernels>& installed() {
  static std::unique_ptr<DeviceKernels> kernels;
  return kernels;
}

}  // namespace

void install_device_kernels(std::unique_ptr<DeviceKernels> kernels) { installed() = std::move(kernels); }

DeviceKernels const& device_kernels() {
  if (!installed()) throw Error("a tensor is in a GPU's memory, and this process has no kernels for it");
  return *installed();
}

}  // namespace refrain::model::kernels

#pragma once

#include <refrain/base/options.hpp>

#include <array>

/// Values of options that every job with a model has.
namespace refrain {

enum class Precision { automatic, bf16, fp32 };
enum class DeviceChoice { automatic, cpu, cuda };

template <>
struct EnumChoices<Precision> {
  using enum Precision;
  static constexpr std::array<Choice<Precision>, 3> choices{{{automatic, "auto"}, {bf16, "bf16"}, {fp32, "fp32"}}};
};
template <>
struct EnumChoices<DeviceChoice> {
  using enum DeviceChoice;
  static constexpr std::array<Choice<DeviceChoice>, 3> choices{{{automatic, "auto"}, {cpu, "cpu"}, {cuda, "cuda"}}};
};

}  // namespace refrain

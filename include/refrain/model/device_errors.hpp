#pragma once

#include <refrain/base/error.hpp>

#include <exception>
#include <optional>

namespace refrain::model {

/// libtorch's errors carry a backtrace of many lines: one of ours, of one line, if `thrown` is one of them. Memory that
/// ran out, the GPU's or the host's, is told as that, with what was asked for and what helps.
std::optional<Error> device_error(std::exception const& thrown);

}  // namespace refrain::model

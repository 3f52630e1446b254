#pragma once

#include <refrain/base/error.hpp>

#include <exception>
#include <functional>
#include <optional>

namespace refrain::model {

/// libtorch's errors carry a backtrace of many lines: one of ours, of one line, if `thrown` is one of them. Memory that
/// ran out, the GPU's or the host's, is told as that, with what was asked for and what helps.
std::optional<Error> device_error(std::exception const& thrown);

/// Runs `work`; what libtorch throws in it becomes that Error. For inside comm::agree, which keeps of other exceptions
/// their text alone.
void with_device_errors(std::function<void()> const& work);

}  // namespace refrain::model

#pragma once

#include <cstdint>

namespace refrain {

/// Notes that a piece of long work is done, e.g. some MiB of a file read or written. Whoever watches this process for
/// hangs sees `activity` rise. Callable from any thread.
void note_activity() noexcept;
/// How often it was called in this process.
int64_t activity() noexcept;

}  // namespace refrain

#pragma once

#include <refrain/comm/collectives.hpp>

#include <span>

namespace refrain::comm {

/// out[i] = parts[0][i] op parts[1][i] op ... in this order, computed in fp32 for bf16 and fp16 and rounded once, else
/// in `type`. `out` may be one of the parts. A NaN in any part gives NaN.
void ordered_reduce(void* out, std::span<void const* const> parts, std::size_t count, DType type, ReduceOp op);

}  // namespace refrain::comm

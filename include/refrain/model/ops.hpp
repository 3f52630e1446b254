#pragma once

#include <refrain/model/packed_batch.hpp>
#include <refrain/model/parameter_store.hpp>
#include <refrain/model/rotary.hpp>

#include <functional>
#include <span>

/// The operations of a decoder block, differentiable in their first argument. Weights are named by their ids: backward
/// adds their gradients to the store. T tokens; the last letter is the width on this tensor rank.
namespace refrain::model {

/// Makes an input of a product again in backward, so that it need not be kept.
using Again = std::function<at::Tensor()>;

/// x_TI -> x_TI W^T, where W is `count` parameters from `first` on, one below the other. Keeps x, or nothing where
/// `again` gives it back. On the CPU products run in fp32, whatever the weights are stored in (measured without AMX:
/// bf16 products at 1-25 % of the speed).
at::Tensor linear(at::Tensor const& x_TI, ParameterStore& store, ParamId first, int count = 1, Again again = {});

/// x / sqrt(mean(x^2) + eps) * weight. `again`, if given, receives what makes the result anew.
at::Tensor rms_norm(at::Tensor const& x_TD, ParameterStore& store, ParamId weight, Again* again = nullptr);

/// silu(gate) * up of [gate | up]. Its backward overwrites `gate_up_TI`. `again` as above.
at::Tensor swiglu(at::Tensor const& gate_up_TI, Again* again = nullptr);

/// How the columns of one row of q|k|v divide into this rank's heads.
struct HeadShape {
  int64_t heads, kv_heads, head_dim;
};
/// Rotates q and k by position (overwriting `qkv_TS`), then softmax(q k^T / sqrt(head_dim)) v within each segment:
/// every token sees its segment's tokens up to itself and all of the segment's prefix. [T, (heads + 2 kv_heads)
/// head_dim] -> [T, heads head_dim].
at::Tensor attention(at::Tensor const& qkv_TS, HeadShape const& shape, PackedBatch const& batch,
                     RotaryTable const& rotary);

/// The rows `rows_N` of x, which may repeat.
at::Tensor select_rows(at::Tensor const& x_TD, at::Tensor const& rows_N);

/// The only tensor-parallel collectives of a block. Entering: nothing in forward, the sum over tensor ranks of the
/// gradient in backward. @collective in backward
at::Tensor enter_tensor_region(at::Tensor const& x_TD, Backend& backend);
/// Leaving: the sum over tensor ranks in forward, overwriting `x_TD`; nothing in backward. @collective
at::Tensor leave_tensor_region(at::Tensor const& x_TD, Backend& backend);

}  // namespace refrain::model

#pragma once

#include <refrain/model/packed_batch.hpp>
#include <refrain/model/parameter_store.hpp>
#include <refrain/model/rotary.hpp>

#include <functional>
#include <optional>
#include <span>
#include <vector>

/// The operations of a decoder block, differentiable in their first argument. Weights are named by their ids: backward
/// adds their gradients to the store. T tokens; the last letter is the width on this tensor rank.
namespace refrain::model {

/// Makes an input of a product again in backward, so that it need not be kept.
using Again = std::function<at::Tensor()>;

/// An adapter's part of a projection: with t = scale x A^T, where A is the A's of all parts, one below the other, the
/// columns [begin, begin + width) of y get t_j B_j^T, where t_j are the columns of part j's A.
struct Lora {
  struct Part {
    ParamId b;
    int64_t begin, width;
  };
  ParamId a;  ///< the first of as many as there are parts
  int64_t rank;
  double scale;
  std::vector<Part> parts;
};

/// y = x W^T + b, where W is `count` parameters from `first` on, one below the other, b as many from `bias` on, if
/// there are any, and an adapter's product on top.
struct Projection {
  ParamId first;
  int count = 1;
  std::optional<ParamId> bias = std::nullopt;
  std::optional<Lora> lora = std::nullopt;
};
/// The `count` parameters from `first` on, with their biases and what the store's adapter has for
/// them.
Projection projection_of(ParameterStore const& store, ParamId first, int count);

/// x_TI -> y. Keeps x, or nothing where `again` gives it back or nobody needs it (frozen weights without an adapter),
/// and the adapter's t. On the CPU products run in fp32, whatever the weights are stored in (measured without AMX: bf16
/// products at 1-25 % of the speed).
at::Tensor linear(at::Tensor const& x_TI, ParameterStore& store, Projection const& projection, Again again = {});

/// x / sqrt(mean(x^2) + eps) * weight. `again`, if given, receives what makes the result anew.
at::Tensor rms_norm(at::Tensor const& x_TD, ParameterStore& store, ParamId weight, Again* again = nullptr);

/// Whether a value that backward needs is kept or made again there.
enum class Remember { keep, remake };

/// silu(gate) * up, where [gate | up] is the projection of x, of two parameters. Keeps [gate | up], or makes it again
/// in backward from x, which `again_x` gives. `again` receives what makes the result anew.
at::Tensor swiglu_linear(at::Tensor const& x_TI, ParameterStore& store, Projection const& gate_up, Again again_x,
                         Remember remember, Again* again);

/// How the columns of one row of q|k|v divide into this rank's heads.
struct HeadShape {
  int64_t heads, kv_heads, head_dim;
};
/// Rotates q and k by position (overwriting `qkv_TS`), then softmax(q k^T / sqrt(head_dim)) v within each segment:
/// every token sees its segment's tokens up to itself and all of the segment's prefix. [T, (heads + 2 kv_heads)
/// head_dim] -> [T, heads head_dim].
at::Tensor attention(at::Tensor const& qkv_TS, HeadShape const& shape, PackedBatch const& batch,
                     RotaryTable const& rotary);

/// The only tensor-parallel collectives of a block. Between regions every tensor rank has all rows, or with sequence
/// parallelism its equal share of them: the tokens [rank T / size, (rank + 1) T / size).
///
/// Entering, [T, D] or [T / size, D] -> [T, D]: the rows of all ranks are gathered, where they are shared; in backward
/// the gradient is summed over the ranks and, where rows are shared, scattered. `again`, if given, makes x again and is
/// made to give the result. @collective, in backward too
at::Tensor enter_tensor_region(at::Tensor const& x, ParameterStore& store, Again* again = nullptr);
/// Leaving, the other way round: the sum over the tensor ranks, scattered where rows are shared; in backward the
/// gradient is gathered. May overwrite `x_TD`. @collective, in backward too
at::Tensor leave_tensor_region(at::Tensor const& x_TD, ParameterStore& store);
/// All rows of what the tensor ranks share (or x itself where they do not). Not differentiable. @collective
at::Tensor gather_rows(at::Tensor const& x, ParameterStore& store);
/// This rank's share of the rows, where they are shared. Not differentiable.
at::Tensor share_of_rows(at::Tensor const& x_TD, ParameterStore& store);

}  // namespace refrain::model

#pragma once

#include "packed_rows.hpp"

#include <refrain/model/ops.hpp>

#include <functional>

namespace refrain::model {

/// What attention leaves behind.
struct Attended {
  at::Tensor out_TD;                                      ///< [T, heads head_dim]
  std::function<at::Tensor(at::Tensor const&)> backward;  ///< from the gradient of out_TD that of q|k|v; callable once
};

/// softmax(q k^T scale) v over sequences of different lengths, causal from the bottom right: queries [T, heads,
/// head_dim], keys and values [K, kv_heads, head_dim], rows contiguous in the last dimension alone.
class VarlenAttention {
public:
  struct Out {
    at::Tensor out_THD;
    std::vector<at::Tensor> kept;  ///< what its backward wants besides
  };
  struct Slopes {
    at::Tensor q_THD, k_KGD, v_KGD;
  };
  virtual ~VarlenAttention() = default;
  virtual Out forward(at::Tensor const& q_THD, at::Tensor const& k_KGD, at::Tensor const& v_KGD, PackedRows const& rows,
                      double scale) const = 0;
  virtual Slopes backward(at::Tensor const& dy_THD, at::Tensor const& q_THD, at::Tensor const& k_KGD,
                          at::Tensor const& v_KGD, Out const& out, PackedRows const& rows, double scale) const = 0;
};

/// libtorch's FlashAttention for GPUs: bf16, head_dim a multiple of 8, at most 256.
/// @throws Error from its functions for anything else
VarlenAttention const& flash_attention();

/// Attention of a whole packed batch by one call of `kernel`: keys and values of prefixes are repeated for each segment
/// that sees them, and their gradients added up again. No mask is made. qkv_TS: rotated q|k|v.
Attended attend_packed(at::Tensor const& qkv_TS, HeadShape const& shape, std::shared_ptr<PackedRows const> rows,
                       VarlenAttention const& kernel);

}  // namespace refrain::model

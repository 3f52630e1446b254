#include "packed_attention.hpp"

#include <refrain/base/error.hpp>

#include <ATen/ATen.h>

namespace refrain::model {
namespace {

void require_supported(at::Tensor const& q_THD) {
  if (q_THD.scalar_type() != at::kBFloat16)
    throw Error("attention on a GPU is computed in bf16, and these values are " + std::string(q_THD.dtype().name()),
                "give --dtype bf16, or --device cpu");
  int64_t const head_dim = q_THD.size(2);
  if (head_dim % 8 != 0 || head_dim > 256)
    throw Error("attention on a GPU wants heads of a multiple of 8 and at most 256 dimensions, this model's have " +
                    std::to_string(head_dim),
                "train it with --device cpu");
}

// The kernels align their triangle bottom right where a sequence has more keys than queries (FlashAttention 2.1 and
// later, which is in every libtorch from 2.2 on).
class FlashAttention final : public VarlenAttention {
public:
  Out forward(at::Tensor const& q_THD, at::Tensor const& k_KGD, at::Tensor const& v_KGD, PackedRows const& rows,
              double scale) const override {
    require_supported(q_THD);
    auto [out, log_sum_exp, rng_state, unused, debug_mask] =
        at::_flash_attention_forward(q_THD, k_KGD, v_KGD, rows.cu_queries, rows.cu_keys, rows.longest_queries,
                                     rows.longest_keys, 0., true, false, scale);
    return {out, {log_sum_exp, rng_state, unused}};
  }

  Slopes backward(at::Tensor const& dy_THD, at::Tensor const& q_THD, at::Tensor const& k_KGD, at::Tensor const& v_KGD,
                  Out const& out, PackedRows const& rows, double scale) const override {
    auto [dq, dk, dv] = at::_flash_attention_backward(dy_THD.contiguous(), q_THD, k_KGD, v_KGD, out.out_THD,
                                                      out.kept[0], rows.cu_queries, rows.cu_keys, rows.longest_queries,
                                                      rows.longest_keys, 0., true, out.kept[1], out.kept[2], scale);
    return {dq, dk, dv};
  }
};

}  // namespace

VarlenAttention const& flash_attention() {
  static FlashAttention const kernel;
  return kernel;
}

}  // namespace refrain::model

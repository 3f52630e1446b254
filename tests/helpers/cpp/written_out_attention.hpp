#pragma once

#include "packed_attention.hpp"

#include <ATen/ATen.h>

#include <limits>
#include <vector>

namespace refrain::model::testing {

/// A softmax written out, a sequence at a time, in fp64; autograd does its backward.
class WrittenOut final : public VarlenAttention {
public:
  Out forward(at::Tensor const& q_THD, at::Tensor const& k_KGD, at::Tensor const& v_KGD, PackedRows const& rows,
              double scale) const override {
    return {attend(q_THD.to(at::kDouble), k_KGD.to(at::kDouble), v_KGD.to(at::kDouble), rows, scale)
                .to(q_THD.scalar_type()),
            {}};
  }

  Slopes backward(at::Tensor const& dy_THD, at::Tensor const& q_THD, at::Tensor const& k_KGD, at::Tensor const& v_KGD,
                  Out const&, PackedRows const& rows, double scale) const override {
    at::AutoGradMode const with_grad(true);
    auto const leaf = [](at::Tensor const& x) { return x.detach().to(at::kDouble).requires_grad_(true); };
    at::Tensor const q = leaf(q_THD), k = leaf(k_KGD), v = leaf(v_KGD);
    attend(q, k, v, rows, scale).backward(dy_THD.to(at::kDouble));
    auto const type = q_THD.scalar_type();
    return {q.grad().to(type), k.grad().to(type), v.grad().to(type)};
  }

private:
  static at::Tensor attend(at::Tensor const& q_THD, at::Tensor const& k_KGD, at::Tensor const& v_KGD,
                           PackedRows const& rows, double scale) {
    auto const *queries = rows.cu_queries.const_data_ptr<int32_t>(), *keys = rows.cu_keys.const_data_ptr<int32_t>();
    int64_t const group = q_THD.size(1) / k_KGD.size(1);
    std::vector<at::Tensor> out;
    for (int64_t s = 0; s + 1 < rows.cu_queries.size(0); ++s) {
      int64_t const q_count = queries[s + 1] - queries[s], k_count = keys[s + 1] - keys[s];
      auto const heads = [&](at::Tensor const& x, int64_t begin, int64_t count, int64_t times) {
        return x.narrow(0, begin, count).repeat_interleave(times, 1).transpose(0, 1);
      };
      at::Tensor const q = heads(q_THD, queries[s], q_count, 1), k = heads(k_KGD, keys[s], k_count, group),
                       v = heads(v_KGD, keys[s], k_count, group);
      at::Tensor const hidden = at::ones({q_count, k_count}, at::kBool).triu(k_count - q_count + 1);
      at::Tensor const scores =
          (q.matmul(k.transpose(1, 2)) * scale).masked_fill(hidden, -std::numeric_limits<double>::infinity());
      out.push_back(scores.softmax(-1).matmul(v).transpose(0, 1));
    }
    return at::cat(out);
  }
};

}  // namespace refrain::model::testing

#include "packed_attention.hpp"

#include <refrain/base/trace.hpp>
#include <refrain/model/autograd.hpp>
#include <refrain/model/kernels.hpp>
#include <refrain/model/ops.hpp>

#include <ATen/ATen.h>

#include <limits>

namespace refrain::model {
namespace {

// Views of q, k and v of a segment as the attention kernel wants them: [1, heads, length, head_dim], strides as they
// are.
class HeadViews {
public:
  HeadViews(at::Tensor const& qkv_TS, HeadShape const& shape)
      : q_(part(qkv_TS, 0, shape.heads, shape)),
        k_(part(qkv_TS, shape.heads, shape.kv_heads, shape)),
        v_(part(qkv_TS, shape.heads + shape.kv_heads, shape.kv_heads, shape)) {}

  at::Tensor q(int32_t begin, int32_t length) const { return q_.narrow(2, begin, length); }
  at::Tensor k(int32_t begin, int32_t length) const { return k_.narrow(2, begin, length); }
  at::Tensor v(int32_t begin, int32_t length) const { return v_.narrow(2, begin, length); }

private:
  static at::Tensor part(at::Tensor const& qkv_TS, int64_t first, int64_t count, HeadShape const& shape) {
    return qkv_TS.narrow(1, first * shape.head_dim, count * shape.head_dim)
        .unflatten(1, {count, shape.head_dim})
        .transpose(0, 1)
        .unsqueeze(0);
  }

  at::Tensor q_, k_, v_;
};

at::Tensor rows_as_heads(at::Tensor const& x_TD, HeadShape const& shape, Segment const& segment) {
  return x_TD.narrow(0, segment.begin, segment.length)
      .view({1, segment.length, shape.heads, shape.head_dim})
      .transpose(1, 2);
}

// Keys and values that a segment sees, and the mask where "up to itself" is not a plain causal triangle (the kernel
// aligns its triangle top left when there are more keys than queries).
struct Seen {
  at::Tensor k, v;
  std::optional<at::Tensor> mask;
};

Seen seen_by(Segment const& segment, HeadViews const& heads) {
  at::Tensor const k = heads.k(segment.begin, segment.length), v = heads.v(segment.begin, segment.length);
  if (segment.prefix_length == 0) return {k, v, std::nullopt};
  at::Tensor const mask = at::full({segment.length, segment.prefix_length + segment.length},
                                   -std::numeric_limits<double>::infinity(), k.options())
                              .triu(segment.prefix_length + 1);
  return {at::cat({heads.k(segment.prefix_begin, segment.prefix_length), k}, 2),
          at::cat({heads.v(segment.prefix_begin, segment.prefix_length), v}, 2), mask};
}

struct Saved {
  at::Tensor qkv_TS, out_TD;
  std::vector<at::Tensor> log_sum_exp;  // a segment each
};

Saved attend(at::Tensor const& qkv_TS, HeadShape const& shape, std::vector<Segment> const& segments) {
  at::Tensor const qkv = qkv_TS.to(at::kFloat);
  HeadViews const heads(qkv, shape);
  Saved saved{qkv_TS, at::zeros({qkv.size(0), shape.heads * shape.head_dim}, qkv.options()), {}};
  for (Segment const& segment : segments) {
    if (segment.length == 0) {  // the kernel divides by it
      saved.log_sum_exp.emplace_back();
      continue;
    }
    Seen const seen = seen_by(segment, heads);
    auto [out, log_sum_exp] = at::_scaled_dot_product_flash_attention_for_cpu(
        heads.q(segment.begin, segment.length), seen.k, seen.v, 0., !seen.mask, seen.mask);
    rows_as_heads(saved.out_TD, shape, segment).copy_(out);
    saved.log_sum_exp.push_back(log_sum_exp);
  }
  saved.out_TD = saved.out_TD.to(qkv_TS.scalar_type());
  return saved;
}

at::Tensor attend_backward(at::Tensor const& dy_TD, Saved const& saved, HeadShape const& shape,
                           std::vector<Segment> const& segments) {
  at::Tensor const qkv = saved.qkv_TS.to(at::kFloat), out = saved.out_TD.to(at::kFloat), dy = dy_TD.to(at::kFloat);
  at::Tensor const dqkv = at::zeros_like(qkv);
  HeadViews const heads(qkv, shape), slopes(dqkv, shape);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    Segment const& segment = segments[i];
    if (segment.length == 0) continue;
    Seen const seen = seen_by(segment, heads);
    auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        rows_as_heads(dy, shape, segment), heads.q(segment.begin, segment.length), seen.k, seen.v,
        rows_as_heads(out, shape, segment), saved.log_sum_exp[i], 0., !seen.mask, seen.mask);
    slopes.q(segment.begin, segment.length).copy_(dq);
    int32_t const prefix = segment.prefix_length;
    slopes.k(segment.begin, segment.length).add_(dk.narrow(2, prefix, segment.length));
    slopes.v(segment.begin, segment.length).add_(dv.narrow(2, prefix, segment.length));
    if (prefix > 0) {
      slopes.k(segment.prefix_begin, prefix).add_(dk.narrow(2, 0, prefix));
      slopes.v(segment.prefix_begin, prefix).add_(dv.narrow(2, 0, prefix));
    }
  }
  return dqkv.to(dy_TD.scalar_type());
}

// A call a segment.
Attended attend_segments(at::Tensor const& qkv_TS, HeadShape const& shape, std::vector<Segment> const& segments) {
  Saved saved = attend(qkv_TS, shape, segments);
  at::Tensor const out_TD = saved.out_TD;
  return {out_TD, [saved = std::move(saved), shape, segments](at::Tensor const& dy_TD) {
            return attend_backward(dy_TD, saved, shape, segments);
          }};
}

Attended attend_on_device(at::Tensor const& qkv_TS, HeadShape const& shape, PackedBatch const& batch) {
  if (!qkv_TS.is_cuda()) return attend_segments(qkv_TS, shape, batch.segments);
  if (!batch.packed_rows) batch.packed_rows = std::make_shared<PackedRows>(PackedRows::of(batch, qkv_TS.device()));
  return attend_packed(qkv_TS, shape, batch.packed_rows, flash_attention());
}

}  // namespace

at::Tensor attention(at::Tensor const& qkv_TS, HeadShape const& shape, PackedBatch const& batch,
                     RotaryTable const& rotary) {
  trace::Span const span("attention");
  int64_t const rotated_heads = shape.heads + shape.kv_heads;
  at::Tensor const qkv = qkv_TS.detach();
  kernels::rotate(qkv, rotated_heads, shape.head_dim, batch.positions_T, rotary.cos_PR, rotary.sin_PR,
                  kernels::Rotation::forward);
  Attended attended = attend_on_device(qkv, shape, batch);
  at::Tensor out_TD = attended.out_TD.detach();
  return differentiable(qkv_TS, std::move(out_TD), [&]() -> Backward {
    return [backward = std::move(attended.backward), shape, rotary, rotated_heads,
            positions_T = batch.positions_T](at::Tensor const& dy_TD) {
      trace::Span const inner("attention");
      at::Tensor dqkv = backward(dy_TD);
      kernels::rotate(dqkv, rotated_heads, shape.head_dim, positions_T, rotary.cos_PR, rotary.sin_PR,
                      kernels::Rotation::backward);
      return dqkv;
    };
  });
}

}  // namespace refrain::model

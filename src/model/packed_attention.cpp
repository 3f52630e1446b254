#include "packed_attention.hpp"

#include <ATen/ATen.h>

#include <cmath>

namespace refrain::model {
namespace {

// Columns of q|k|v.
struct Columns {
  HeadShape shape;

  at::Tensor q(at::Tensor const& qkv_TS) const { return part(qkv_TS, 0, shape.heads); }
  at::Tensor k(at::Tensor const& qkv_TS) const { return part(qkv_TS, shape.heads, shape.kv_heads); }
  at::Tensor v(at::Tensor const& qkv_TS) const { return part(qkv_TS, shape.heads + shape.kv_heads, shape.kv_heads); }

  at::Tensor part(at::Tensor const& rows, int64_t first_head, int64_t heads) const {
    return rows.narrow(1, first_head * shape.head_dim, heads * shape.head_dim).unflatten(1, {heads, shape.head_dim});
  }
};

struct KeysAndValues {
  at::Tensor k_KGD, v_KGD;
};

KeysAndValues gathered(at::Tensor const& qkv_TS, Columns const& columns, PackedRows const& rows) {
  if (!rows.repeats()) return {columns.k(qkv_TS), columns.v(qkv_TS)};
  int64_t const heads = columns.shape.kv_heads, width = heads * columns.shape.head_dim;
  at::Tensor const kv_KS =
      qkv_TS.narrow(1, columns.shape.heads * columns.shape.head_dim, 2 * width).index_select(0, rows.tokens_K);
  return {columns.part(kv_KS, 0, heads), columns.part(kv_KS, heads, heads)};
}

// What `gathered` repeated, added up. A token is its own segment's key once, so that much is a copy.
void scatter(at::Tensor const& place_TGD, at::Tensor const& slope_KGD, PackedRows const& rows) {
  if (!rows.repeats()) {
    place_TGD.copy_(slope_KGD);
    return;
  }
  place_TGD.copy_(slope_KGD.index_select(0, rows.own_T));
  place_TGD.index_add_(0, rows.prefix_tokens_P, slope_KGD.index_select(0, rows.prefix_keys_P));
}

}  // namespace

Attended attend_packed(at::Tensor const& qkv_TS, HeadShape const& shape, std::shared_ptr<PackedRows const> rows,
                       VarlenAttention const& kernel) {
  Columns const columns{shape};
  double const scale = 1 / std::sqrt(static_cast<double>(shape.head_dim));
  auto const [k_KGD, v_KGD] = gathered(qkv_TS, columns, *rows);
  auto out = kernel.forward(columns.q(qkv_TS), k_KGD, v_KGD, *rows, scale);
  at::Tensor out_TD = out.out_THD.flatten(1);
  return {out_TD, [qkv_TS, columns, rows, scale, out = std::move(out), &kernel](at::Tensor const& dy_TD) {
            auto const [k_KGD, v_KGD] = gathered(qkv_TS, columns, *rows);
            at::Tensor const dy_THD = dy_TD.unflatten(1, {columns.shape.heads, columns.shape.head_dim});
            auto const slopes = kernel.backward(dy_THD, columns.q(qkv_TS), k_KGD, v_KGD, out, *rows, scale);
            at::Tensor dqkv_TS = at::empty(qkv_TS.sizes(), qkv_TS.options());
            columns.q(dqkv_TS).copy_(slopes.q_THD);
            scatter(columns.k(dqkv_TS), slopes.k_KGD, *rows);
            scatter(columns.v(dqkv_TS), slopes.v_KGD, *rows);
            return dqkv_TS;
          }};
}

}  // namespace refrain::model

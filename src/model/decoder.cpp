#include <refrain/base/trace.hpp>
#include <refrain/model/decoder.hpp>
#include <refrain/model/kernels.hpp>
#include <refrain/model/products.hpp>

#include <ATen/ATen.h>

#include <algorithm>

namespace refrain::model {
namespace {

// Which of the tokens' rows this rank holds, and where.
struct LocalRows {
  at::Tensor rows_T;  // 0 where the row is elsewhere
  at::Tensor here_T;  // bool
};

LocalRows local_rows(at::Tensor const& tokens_T, ParamSpec const& spec) {
  at::Tensor const rows_T = tokens_T - spec.global.start[0];
  at::Tensor const here_T = rows_T.ge(0).logical_and_(rows_T.lt(spec.global.count[0]));
  return {rows_T * here_T, here_T};
}

}  // namespace

Decoder::Decoder(ParameterStore& store) : store_(store), frequencies_R_(rotary_frequencies(store.config())) {
  auto const& config = store.config();
  int const degree = store.backend().tensor().size();
  heads_ = {config.num_attention_heads / degree, config.num_key_value_heads / degree, config.head_dim};
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    auto const id = [&](std::string const& name) {
      return store.id("model.layers." + std::to_string(i) + "." + name + ".weight");
    };
    blocks_.push_back({id("input_layernorm"), projection_of(store, id("self_attn.q_proj"), 3),
                       projection_of(store, id("self_attn.o_proj"), 1), id("post_attention_layernorm"),
                       projection_of(store, id("mlp.gate_proj"), 2), projection_of(store, id("mlp.down_proj"), 1)});
  }
  embedding_ = store.id("model.embed_tokens.weight");
  head_.norm = store.id("model.norm.weight");
  head_.output = config.tie_word_embeddings ? embedding_ : store.id("lm_head.weight");
}

RotaryTable const& Decoder::rotary_for(PackedBatch const& batch) const {
  // Asking a GPU would make the host wait for it, in every block.
  int64_t needed = batch.positions;
  if (needed == 0 && batch.positions_T.numel() > 0) needed = batch.positions_T.max().item<int64_t>() + 1;
  if (needed > rotary_.positions()) {
    auto const table = RotaryTable::make(frequencies_R_, std::max<int64_t>(needed, 2 * rotary_.positions()));
    at::Device const device = store_.backend().device();
    rotary_ = {table.cos_PR.to(device), table.sin_PR.to(device)};
  }
  return rotary_;
}

at::Tensor Decoder::embed(PackedBatch const& batch) const {
  trace::Span const span("embedding");
  auto const [rows_T, here_T] = local_rows(batch.tokens_T, store_.specs()[embedding_]);
  at::Tensor const x_TD = store_.weight(embedding_).index_select(0, rows_T);
  bool const split = store_.backend().tensor().size() > 1;
  return split ? leave_tensor_region(x_TD.mul_(here_T.unsqueeze(1)), store_) : x_TD;
}

void Decoder::embed_backward(PackedBatch const& batch, at::Tensor const& grad_TD) const {
  if (!store_.trained(embedding_)) return;
  trace::Span const span("embedding");
  auto const [rows_T, here_T] = local_rows(batch.tokens_T, store_.specs()[embedding_]);
  at::Tensor const main_grad = store_.main_grad(embedding_);
  at::Tensor const grad = gather_rows(grad_TD, store_) * here_T.unsqueeze(1);
  main_grad.index_add_(0, rows_T, grad.to(main_grad.scalar_type()));
}

// `attend` makes of q|k|v what the heads give.
template <class Attend>
at::Tensor Decoder::run_block(int i, at::Tensor const& x_TD, Remember mlp, Attend const& attend,
                              at::Tensor const& last_N) const {
  BlockIds const& ids = blocks_[i];
  Again again;
  at::Tensor h = rms_norm(x_TD, store_, ids.norm1, &again);
  h = enter_tensor_region(h, store_, &again);
  h = linear(h, store_, ids.qkv, std::move(again));
  h = attend(h);
  h = leave_tensor_region(linear(h, store_, ids.o), store_);
  at::Tensor const middle_TD = h.add_(last_N.defined() ? x_TD.index_select(0, last_N) : x_TD);
  h = rms_norm(middle_TD, store_, ids.norm2, &again);
  h = enter_tensor_region(h, store_, &again);
  h = swiglu_linear(h, store_, ids.gate_up, std::move(again), mlp, &again);
  h = leave_tensor_region(linear(h, store_, ids.down, std::move(again)), store_);
  return h.add_(middle_TD);
}

at::Tensor Decoder::block(int i, at::Tensor const& x_TD, PackedBatch const& batch, Remember mlp) const {
  RotaryTable const& rotary = rotary_for(batch);
  return run_block(i, x_TD, mlp, [&](at::Tensor const& qkv_TS) { return attention(qkv_TS, heads_, batch, rotary); });
}

at::Tensor Decoder::block(int i, at::Tensor const& x_TD, PackedBatch const& batch, CachedAttention& cache,
                          at::Tensor const& last_N) const {
  at::NoGradGuard const no_grad;
  RotaryTable const& rotary = rotary_for(batch);
  auto const attend = [&](at::Tensor const& qkv_TS) {
    trace::Span const span("attention");
    kernels::rotate(qkv_TS, heads_.heads + heads_.kv_heads, heads_.head_dim, batch.positions_T, rotary.cos_PR,
                    rotary.sin_PR, kernels::Rotation::forward);
    return cache.attend(i, qkv_TS, heads_, last_N.defined() ? Wanted::last_of_each_row : Wanted::all);
  };
  return run_block(i, x_TD, Remember::keep, attend, last_N);
}

HeadOut Decoder::head(at::Tensor const& x_TD, PackedBatch const& batch, int64_t chunk_rows) const {
  return token_logps(x_TD, store_, head_, batch, chunk_rows);
}

at::Tensor Decoder::logits(at::Tensor const& x_TD, PackedBatch const& batch) const {
  auto& ranks = store_.backend().tensor();
  at::NoGradGuard const no_grad;
  at::Tensor const rows_ND = gather_rows(x_TD.detach(), store_).index_select(0, batch.head_rows_N);
  at::Tensor const normed_ND = kernels::rms_norm(rows_ND, store_.weight(head_.norm), store_.config().rms_norm_eps).y_TD;
  // A GPU multiplies in the weights' type: all of the output matrix in fp32 would be made anew each time.
  at::Tensor const factor_ND = as_factor(normed_ND), weight_VD = store_.weight(head_.output);
  at::Tensor const part_NV = (store_.options().gradients ? times_transposed(factor_ND, weight_VD)
                                                         : times_transposed_forward(factor_ND, weight_VD))
                                 .to(at::kFloat);
  if (ranks.size() == 1) return part_NV;
  int64_t const rows = part_NV.size(0), padded = part_NV.size(1);
  at::Tensor const parts_RNV = at::empty({ranks.size(), rows, padded}, part_NV.options());
  ranks.wait(ranks.all_gather(buffer_of(parts_RNV), buffer_of(part_NV), comm::Lane::compute), comm::Lane::compute);
  return parts_RNV.transpose(0, 1).reshape({rows, ranks.size() * padded}).narrow(1, 0, store_.config().vocab_size);
}

}  // namespace refrain::model

#include <refrain/model/decoder.hpp>
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
    blocks_.push_back({id("input_layernorm"), id("self_attn.q_proj"), id("self_attn.o_proj"),
                       id("post_attention_layernorm"), id("mlp.gate_proj"), id("mlp.down_proj")});
  }
  embedding_ = store.id("model.embed_tokens.weight");
  norm_ = store.id("model.norm.weight");
  output_ = config.tie_word_embeddings ? embedding_ : store.id("lm_head.weight");
}

RotaryTable const& Decoder::rotary_for(PackedBatch const& batch) const {
  int64_t const needed = batch.positions_T.numel() == 0 ? 0 : batch.positions_T.max().item<int64_t>() + 1;
  if (needed > rotary_.positions())
    rotary_ = RotaryTable::make(frequencies_R_, std::max<int64_t>(needed, 2 * rotary_.positions()));
  return rotary_;
}

at::Tensor Decoder::embed(PackedBatch const& batch) const {
  auto const [rows_T, here_T] = local_rows(batch.tokens_T, store_.specs()[embedding_]);
  Backend& backend = store_.backend();
  at::Tensor const x_TD = store_.weight(embedding_).index_select(0, rows_T);
  return backend.tensor().size() == 1 ? x_TD : leave_tensor_region(x_TD.mul_(here_T.unsqueeze(1)), backend);
}

void Decoder::embed_backward(PackedBatch const& batch, at::Tensor const& grad_TD) const {
  auto const [rows_T, here_T] = local_rows(batch.tokens_T, store_.specs()[embedding_]);
  at::Tensor const main_grad = store_.main_grad(embedding_);
  main_grad.index_add_(0, rows_T, (grad_TD * here_T.unsqueeze(1)).to(main_grad.scalar_type()));
}

at::Tensor Decoder::block(int i, at::Tensor const& x_TD, PackedBatch const& batch) const {
  Backend& backend = store_.backend();
  BlockIds const& ids = blocks_[i];
  Again again;
  at::Tensor h = enter_tensor_region(rms_norm(x_TD, store_, ids.norm1, &again), backend);
  h = linear(h, store_, ids.qkv, 3, std::move(again));
  h = attention(h, heads_, batch, rotary_for(batch));
  h = leave_tensor_region(linear(h, store_, ids.o), backend);
  at::Tensor const middle_TD = h.add_(x_TD);
  h = enter_tensor_region(rms_norm(middle_TD, store_, ids.norm2, &again), backend);
  h = linear(h, store_, ids.gate_up, 2, std::move(again));
  h = swiglu(h, &again);
  h = leave_tensor_region(linear(h, store_, ids.down, 1, std::move(again)), backend);
  return h.add_(middle_TD);
}

at::Tensor Decoder::last_norm(at::Tensor const& x_TD, PackedBatch const& batch) const {
  return enter_tensor_region(rms_norm(select_rows(x_TD, batch.head_rows_N), store_, norm_), store_.backend());
}

HeadOut Decoder::head(at::Tensor const& x_TD, PackedBatch const& batch, int64_t chunk_rows) const {
  return token_logps(last_norm(x_TD, batch), store_, output_, batch.targets_N, chunk_rows);
}

at::Tensor Decoder::logits(at::Tensor const& x_TD, PackedBatch const& batch) const {
  auto& ranks = store_.backend().tensor();
  at::NoGradGuard const no_grad;
  at::Tensor const part_NV = times_transposed(last_norm(x_TD, batch).to(at::kFloat), store_.weight(output_));
  if (ranks.size() == 1) return part_NV;
  int64_t const rows = part_NV.size(0), padded = part_NV.size(1);
  at::Tensor const parts_RNV = at::empty({ranks.size(), rows, padded}, part_NV.options());
  ranks.wait(ranks.all_gather(buffer_of(parts_RNV), buffer_of(part_NV), comm::Lane::compute), comm::Lane::compute);
  return parts_RNV.transpose(0, 1).reshape({rows, ranks.size() * padded}).narrow(1, 0, store_.config().vocab_size);
}

}  // namespace refrain::model

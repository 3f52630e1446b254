// The decoder over tensor and data ranks against the same model on one rank.
#include "small_model.hpp"

#include <refrain/model/autograd.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::model;
using model::testing::deviation;
using model::testing::OneRank;
using model::testing::packed;

namespace {

checkpoint::ModelConfig config_for_four() {
  checkpoint::ModelConfig config = model::testing::small_config();
  config.num_key_value_heads = 4;
  return config;
}

// This rank's part of a whole tensor, at the values that are not padding.
at::Tensor part_of(at::Tensor whole, checkpoint::Slice const& slice) {
  for (std::size_t axis = 0; axis < slice.start.size(); ++axis)
    whole = whole.narrow(static_cast<int64_t>(axis), slice.start[axis], slice.count[axis]);
  return whole;
}

at::Tensor without_padding(at::Tensor const& local, ParamSpec const& spec) {
  return local.narrow(0, 0, spec.global.count[0]);
}

struct Parallel {
  comm::ParallelLayout layout;
  std::unique_ptr<Backend> backend = cpu_backend(layout);
  ParameterStore store;

  Parallel(OneRank const& whole, int tensor, SequenceParallel sequence = SequenceParallel::off)
      : layout(comm::Communicator::world(), tensor),
        store(whole.store.config(), *backend, {.sequence = sequence, .adapter = whole.store.options().adapter}) {
    for (ParamId id = 0; id < static_cast<ParamId>(store.specs().size()); ++id) {
      ParamSpec const& spec = store.specs()[id];
      without_padding(store.weight(id), spec).copy_(part_of(whole.store.weight(id), spec.global));
    }
  }
};

HeadOut forward_backward(ParameterStore& store, PackedBatch const& batch) {
  Decoder const decoder(store);
  std::vector<at::Tensor> inputs, outputs{decoder.embed(batch)};
  for (int i = 0; i < decoder.blocks(); ++i) {
    inputs.push_back(outputs.back().detach().requires_grad_(true));
    outputs.push_back(decoder.block(i, inputs.back(), batch));
  }
  at::Tensor const last = outputs.back().detach().requires_grad_(true);
  HeadOut const out = decoder.head(last, batch, 6);
  at::Tensor grad_TD = backpropagate(out.logp_N, last, at::linspace(-1, 2, out.logp_N.numel()));
  // With several data ranks the units share a buffer: each is reduced before the next one's backward.
  store.reduce(store.layout().model_units() - 1);
  for (int i = decoder.blocks() - 1; i >= 0; --i) {
    grad_TD = backpropagate(outputs[i + 1], inputs[i], grad_TD);
    store.reduce(1 + i);
  }
  decoder.embed_backward(batch, grad_TD);
  store.reduce(0);
  store.finish_reductions();
  store.finish_grads();
  return out;
}

at::Tensor gradient_of(ParameterStore const& store, ParamSpec const& spec) {
  return without_padding(
      store.flat_grads(spec.info.unit).narrow(0, spec.offset, spec.local_count()).view(spec.local_shape), spec);
}

void compare_gradients(ParameterStore const& parts, ParameterStore const& whole) {
  for (std::size_t id = 0; id < parts.specs().size(); ++id) {
    ParamSpec const& spec = parts.specs()[id];
    if (!parts.layout().trained(spec.info.unit)) continue;
    at::Tensor const expected = gradient_of(whole, whole.specs()[id]), found = gradient_of(parts, spec);
    INFO(spec.info.name);
    if (found.numel() > 0)
      CHECK(((found - part_of(expected, spec.global)).abs().max() / expected.abs().max()).item<double>() < 1e-5);
  }
}

}  // namespace

TEST_CASE("tensor ranks together equal one rank") {
  bool const tied = GENERATE(false, true);
  SequenceParallel const sequence = GENERATE(SequenceParallel::off, SequenceParallel::on);
  checkpoint::ModelConfig config = config_for_four();
  config.tie_word_embeddings = tied;
  OneRank whole(config);
  Parallel parts(whole, comm::Communicator::world().size(), sequence);
  PackedBatch const batch = packed({9, 4, 11}, config.vocab_size);
  HeadOut const expected = forward_backward(whole.store, batch), found = forward_backward(parts.store, batch);
  CHECK(deviation(found.logp_N.detach(), expected.logp_N.detach()) < 1e-5);
  CHECK(deviation(found.mean_logit_N, expected.mean_logit_N) < 1e-5);
  CHECK(deviation(found.entropy_N, expected.entropy_N) < 1e-5);
  CHECK(found.top1_N.equal(expected.top1_N));
  compare_gradients(parts.store, whole.store);
}

TEST_CASE("tensor ranks together equal one rank in an adapter's gradients") {
  SequenceParallel const sequence = GENERATE(SequenceParallel::off, SequenceParallel::on);
  auto const targets =
      GENERATE(std::vector<std::string>{"q_proj", "v_proj", "down_proj"}, checkpoint::adapter_targets());
  checkpoint::ModelConfig const config = config_for_four();
  OneRank whole(config, DType::fp32, DType::fp32, checkpoint::AdapterConfig{.rank = 3, .alpha = 5, .targets = targets});
  Parallel parts(whole, comm::Communicator::world().size(), sequence);
  PackedBatch const batch = packed({9, 4, 11}, config.vocab_size);
  HeadOut const expected = forward_backward(whole.store, batch), found = forward_backward(parts.store, batch);
  CHECK(deviation(found.logp_N.detach(), expected.logp_N.detach()) < 1e-5);
  compare_gradients(parts.store, whole.store);
}

TEST_CASE("what pads the vocabulary stays zero") {
  OneRank whole(config_for_four());
  Parallel parts(whole, comm::Communicator::world().size());
  forward_backward(parts.store, packed({20}, 23));
  for (std::string const name : {"lm_head.weight", "model.embed_tokens.weight"}) {
    ParamId const id = parts.store.id(name);
    ParamSpec const& spec = parts.store.specs()[id];
    int64_t const padding = spec.local_shape[0] - spec.global.count[0];
    CHECK(parts.store.main_grad(id).narrow(0, spec.global.count[0], padding).count_nonzero().item<int64_t>() == 0);
  }
}

TEST_CASE("equal tokens as equals: the likeliest is the lowest id of all ranks") {
  OneRank whole(config_for_four());
  whole.store.weight(whole.store.id("lm_head.weight")).zero_();
  Parallel parts(whole, comm::Communicator::world().size());
  CHECK(forward_backward(parts.store, packed({5}, 23)).top1_N.eq(0).all().item<bool>());
}

TEST_CASE("data ranks add up their micro-batches") {
  bool const tied = GENERATE(false, true);
  comm::Communicator const world = comm::Communicator::world();
  checkpoint::ModelConfig config = config_for_four();
  config.tie_word_embeddings = tied;
  std::optional<checkpoint::AdapterConfig> adapter;
  if (GENERATE(false, true)) adapter = {.rank = 2, .alpha = 2, .targets = checkpoint::adapter_targets()};
  OneRank whole(config, DType::fp32, DType::fp32, adapter);
  Parallel parts(whole, 1);
  for (int64_t micro_batch = 0; micro_batch < 2; ++micro_batch) {
    for (int rank = 0; rank < world.size(); ++rank) {
      PackedBatch const batch = packed({5 + rank, 11 - micro_batch}, config.vocab_size);
      forward_backward(whole.store, batch);
      if (rank == world.rank()) forward_backward(parts.store, batch);
    }
  }
  compare_gradients(parts.store, whole.store);
}

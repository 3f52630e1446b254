#include <refrain/train/traffic_model.hpp>

#include <algorithm>
#include <initializer_list>

namespace refrain::train {
namespace {

using comm::sent_bytes;
using comm::Transfer;
using model::SequenceParallel;
using model::Zero;

int64_t width_of(DType dtype) { return static_cast<int64_t>(size_of(dtype)); }

}  // namespace

SentBytes SentBytes::operator-(SentBytes const& earlier) const noexcept {
  return {parameters - earlier.parameters, gradients - earlier.gradients, activations - earlier.activations};
}

SentBytes& SentBytes::operator+=(SentBytes const& other) noexcept {
  parameters += other.parameters;
  gradients += other.gradients;
  activations += other.activations;
  return *this;
}

SentBytes sent_so_far(model::Backend& backend) {
  auto const on = [&](comm::Lane lane) {
    int64_t bytes = 0;
    for (comm::Collectives const* ranks : {&backend.tensor(), &backend.data()}) {
      comm::Traffic const& traffic = ranks->traffic(lane);
      bytes += traffic.all_reduce + traffic.reduce_scatter + traffic.all_gather;
    }
    return bytes;
  };
  return {on(comm::Lane::gather), on(comm::Lane::reduce), on(comm::Lane::compute)};
}

TrafficModel::TrafficModel(checkpoint::ModelConfig const& config, RunLayout const& layout, Formats const& formats,
                           int tensor_rank, int data_rank)
    : config_(config),
      layout_(layout),
      formats_(formats),
      parameters_(config,
                  {.tensor_rank = tensor_rank,
                   .tensor_size = layout.tensor,
                   .data_rank = data_rank,
                   .data_size = layout.data,
                   .sequence = layout.sequence},
                  formats.adapter) {}

int64_t TrafficModel::gathered_again() const {
  if (!formats_.adapter) return 2;
  auto const has = [&](std::initializer_list<char const*> targets) {
    auto const& all = formats_.adapter->targets;
    return std::any_of(targets.begin(), targets.end(),
                       [&](char const* name) { return std::find(all.begin(), all.end(), name) != all.end(); });
  };
  // Gate and up are made again from the gathered rows too.
  bool const mlp = has({"gate_proj", "up_proj"}) || layout_.recompute == Recompute::selective;
  return (has({"q_proj", "k_proj", "v_proj"}) ? 1 : 0) + (mlp ? 1 : 0);
}

int64_t TrafficModel::activations(PairWork const& batch) const {
  int const ranks = layout_.tensor;
  if (ranks == 1 || batch.tokens == 0) return 0;
  int64_t const width = width_of(formats_.weights), layers = config_.num_hidden_layers;
  int64_t const rows = padded_tokens(batch.tokens, ranks) * config_.hidden_size * width;
  // A tensor region, of which a block has two, ends in a sum forward and begins with one backward; with shared rows
  // these are reduce-scatters, and rows are gathered forward where it begins and backward where it ends (and
  // gathered again for gradients of weights). The embedding is an end of a region.
  int64_t const again = layout_.recompute == Recompute::block ? 2 * layers : 0;
  int64_t const sums = 4 * layers + again + 1;
  int64_t bytes = 0;
  if (layout_.sequence == SequenceParallel::on) {
    int64_t const gathers = (4 + gathered_again()) * layers + again + (parameters_.trained(0) ? 1 : 0);
    int64_t const head = 2;
    bytes += sums * sent_bytes(Transfer::reduce_scatter, rows, ranks) +
             (gathers + head) * sent_bytes(Transfer::all_gather, rows, ranks);
  } else {
    bytes += sums * sent_bytes(Transfer::all_reduce, rows, ranks);
  }
  // The softmax's parts: maximum, four sums, likeliest token.
  for (int64_t const values : {1, 4, 1}) bytes += sent_bytes(Transfer::all_reduce, values * batch.scored * 4, ranks);
  int64_t const chunk_rows = formats_.chunk_rows(config_, ranks);
  for (int64_t begin = 0; begin < batch.scored; begin += chunk_rows)
    bytes += sent_bytes(Transfer::all_reduce, std::min(chunk_rows, batch.scored - begin) * config_.hidden_size * width,
                        ranks);
  return bytes;
}

SentBytes TrafficModel::micro_batch(PairWork const& batch) const {
  SentBytes sent{.activations = activations(batch)};
  int const ranks = layout_.data;
  if (ranks == 1) return sent;
  for (int unit = 0; unit < parameters_.units(); ++unit) {
    int64_t const elements = parameters_.elements(unit);
    if (parameters_.trained(unit))
      sent.gradients += sent_bytes(layout_.zero >= Zero::gradients ? Transfer::reduce_scatter : Transfer::all_reduce,
                                   elements * width_of(formats_.grads), ranks);
    if (layout_.zero < Zero::parameters) continue;
    // Blocks (and their adapters) forward and backward; the embedding a second time where it is the output matrix too.
    bool const is_head = unit == parameters_.model_units() - 1;
    bool const twice = unit == 0 ? config_.tie_word_embeddings : !is_head;
    sent.parameters += (twice ? 2 : 1) * sent_bytes(Transfer::all_gather, elements * width_of(formats_.weights), ranks);
  }
  return sent;
}

SentBytes TrafficModel::step_end() const {
  SentBytes sent;
  bool const shards = layout_.data > 1;
  int64_t norms = 0;
  for (int unit = parameters_.first_trained(); unit < parameters_.units(); ++unit) {
    model::FlatRange const owned =
        shards && layout_.zero >= Zero::optimizer ? parameters_.shard(unit) : parameters_.whole(unit);
    parameters_.for_each_piece(unit, owned, [&](model::ParameterLayout::Piece const& piece) {
      if (piece.spec.grad_partial_over_tensor) norms += piece.count;
    });
    if (shards && (layout_.zero == Zero::optimizer || layout_.zero == Zero::gradients))
      sent.parameters +=
          sent_bytes(Transfer::all_gather, parameters_.elements(unit) * width_of(formats_.weights), layout_.data);
  }
  if (layout_.tensor > 1)
    sent.activations += sent_bytes(Transfer::all_reduce, norms * width_of(formats_.grads), layout_.tensor);
  for (int const ranks : {layout_.tensor, layout_.data})
    if (ranks > 1) sent.activations += sent_bytes(Transfer::all_reduce, 8, ranks);
  return sent;
}

SentBytes TrafficModel::step(std::vector<PairWork> const& micro_batches) const {
  SentBytes sent = step_end();
  for (PairWork const& batch : micro_batches) sent += micro_batch(batch);
  return sent;
}

}  // namespace refrain::train

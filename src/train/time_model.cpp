#include <refrain/train/time_model.hpp>

#include <refrain/train/memory_model.hpp>

#include <algorithm>

namespace refrain::train {
namespace {

using checkpoint::ModelConfig;

double table_weights(ModelConfig const& config) {
  return static_cast<double>(config.vocab_size) * static_cast<double>(config.hidden_size);
}

double block_weights(ModelConfig const& config) {
  double const tables = (config.tie_word_embeddings ? 1 : 2) * table_weights(config);
  return static_cast<double>(parameter_count(config)) - tables;
}

double attention_flops(ModelConfig const& config, PairWork const& batch) {
  auto const width = static_cast<double>(config.num_attention_heads * config.head_dim);
  return 4 * width * static_cast<double>(config.num_hidden_layers) * static_cast<double>(batch.seen);
}

double block_flops(ModelConfig const& config, PairWork const& batch) {
  return 2 * block_weights(config) * static_cast<double>(batch.tokens) + attention_flops(config, batch);
}

double head_flops(ModelConfig const& config, PairWork const& batch) {
  return 2 * table_weights(config) * static_cast<double>(batch.scored);
}

/// The k-th micro-batch of the rank for which it is dearest, and nothing where there is none.
PairWork dearest(ModelConfig const& config, std::vector<std::vector<PairWork>> const& ranks, std::size_t k) {
  PairWork most;
  for (auto const& batches : ranks)
    if (k < batches.size() && forward_flops(config, batches[k]) > forward_flops(config, most)) most = batches[k];
  return most;
}

std::size_t most_batches(std::vector<std::vector<PairWork>> const& ranks) {
  std::size_t most = 0;
  for (auto const& batches : ranks) most = std::max(most, batches.size());
  return most;
}

}  // namespace

double forward_flops(ModelConfig const& config, PairWork const& batch) {
  return block_flops(config, batch) + head_flops(config, batch);
}

double training_flops(ModelConfig const& config, Adapter const& adapter, PairWork const& batch) {
  if (!adapter) return 3 * forward_flops(config, batch);
  return 2 * forward_flops(config, batch) + attention_flops(config, batch) +
         6 * static_cast<double>(trained_count(config, adapter)) * static_cast<double>(batch.tokens);
}

TimeModel::TimeModel(ModelConfig const& config, RunLayout const& layout, Formats const& formats, Cluster const& cluster)
    : config_(config), layout_(layout), formats_(formats), cluster_(cluster), traffic_(config, layout, formats) {}

double TimeModel::product_seconds(PairWork const& batch) const {
  // The head computes its logits again in backward; blocks as they are told to.
  double again = head_flops(config_, batch);
  if (layout_.recompute == Recompute::block) again += block_flops(config_, batch);
  if (layout_.recompute == Recompute::selective)
    again += 2.0 * 2 *
             static_cast<double>(config_.intermediate_size * config_.hidden_size * config_.num_hidden_layers) *
             static_cast<double>(batch.tokens);
  return (training_flops(config_, formats_.adapter, batch) + again) / layout_.tensor / cluster_.machine.flops;
}

double TimeModel::data_rate() const {
  Machine const& machine = cluster_.machine;
  return cluster_.nodes == 1 ? machine.node_rate : std::min(machine.node_rate, machine.network_rate);
}

StepTime TimeModel::step(std::vector<std::vector<PairWork>> const& ranks) const {
  Machine const& machine = cluster_.machine;
  bool const crosses_nodes = cluster_.nodes > 1 && cluster_.ranks_per_node % layout_.tensor != 0;
  double const tensor_rate = crosses_nodes ? machine.network_rate : machine.node_rate;
  StepTime time;
  for (std::size_t k = 0; k < most_batches(ranks); ++k) {
    PairWork const batch = dearest(config_, ranks, k);
    SentBytes const sent = traffic_.micro_batch(batch);
    double const products = product_seconds(batch);
    double const transfers = static_cast<double>(sent.parameters + sent.gradients) / data_rate();
    time.products += products;
    time.activations += static_cast<double>(sent.activations) / tensor_rate;
    // NCCL's streams run beside the products; MPI's transfers are over when their call returns.
    time.exposed += machine.kind == DeviceKind::gpu ? std::max(0.0, transfers - products) : transfers;
  }
  SentBytes const end = traffic_.step_end();
  time.exposed += static_cast<double>(end.parameters) / data_rate();
  // Master weights and both moments are read and written, gradients read, weights written where they are others.
  int64_t const elements = trained_count(config_, formats_.adapter) / layout_.tensor;
  double const owned = static_cast<double>(elements) / (layout_.zero >= model::Zero::optimizer ? layout_.data : 1);
  double const bytes_each = 24.0 + static_cast<double>(size_of(formats_.grads)) +
                            (formats_.weights == DType::fp32 ? 0.0 : static_cast<double>(size_of(formats_.weights)));
  time.optimizer = owned * bytes_each / machine.memory_rate;
  return time;
}

double TimeModel::forward(std::vector<std::vector<PairWork>> const& ranks) const {
  double seconds = 0;
  for (std::size_t k = 0; k < most_batches(ranks); ++k)
    seconds += forward_flops(config_, dearest(config_, ranks, k)) / layout_.tensor / cluster_.machine.flops;
  return seconds;
}

}  // namespace refrain::train

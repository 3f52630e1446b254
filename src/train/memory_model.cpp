#include <refrain/train/memory_model.hpp>

#include <algorithm>

namespace refrain::train {
namespace {

using checkpoint::ModelConfig;
using model::ParameterLayout;
using model::SequenceParallel;
using model::Zero;

constexpr int64_t mebibyte = int64_t{1} << 20;

int64_t width_of(DType dtype) { return static_cast<int64_t>(size_of(dtype)); }

/// Sizes that both passes use.
struct Sizes {
  int64_t tokens, local_tokens;  // of a micro-batch, and those whose norms and residuals this rank has
  int64_t hidden, queries, qkv, mlp, heads, vocabulary;
  int64_t low_rank;  // columns of an adapter's products, over its targets
  int64_t width;     // bytes of an activation
  bool shares_rows;  // sequence parallelism
  bool converts;     // products convert their operands to fp32

  Sizes(ModelConfig const& config, RunLayout const& layout, Formats const& formats, PairWork const& batch)
      : tokens(padded_tokens(batch.tokens, layout.tensor)),
        hidden(config.hidden_size),
        queries(config.num_attention_heads * config.head_dim / layout.tensor),
        qkv(queries + 2 * config.num_key_value_heads * config.head_dim / layout.tensor),
        mlp(config.intermediate_size / layout.tensor),
        heads(config.num_attention_heads / layout.tensor),
        vocabulary((config.vocab_size + layout.tensor - 1) / layout.tensor),
        low_rank(formats.adapter ? formats.adapter->rank * static_cast<int64_t>(formats.adapter->targets.size()) : 0),
        width(width_of(formats.weights)),
        shares_rows(layout.sequence == SequenceParallel::on && layout.tensor > 1),
        converts(formats.device == DeviceKind::cpu && formats.weights != DType::fp32) {
    local_tokens = shares_rows ? tokens / layout.tensor : tokens;
  }

  int64_t rows() const { return local_tokens * hidden * width; }  // a residual
  int64_t all_rows() const { return tokens * hidden * width; }
  int64_t fp32(int64_t elements) const { return converts ? 4 * elements : 0; }
};

/// Beside the embedding.
int64_t largest_trained(ParameterLayout const& layout) {
  return layout.largest_elements(std::max(1, layout.first_trained()));
}

void add_states(RankMemory& memory, ModelConfig const& config, ParameterLayout const& layout, Zero zero,
                Formats const& formats) {
  int64_t const data = layout.place().data_size;
  int64_t const weight = width_of(formats.weights), grad = width_of(formats.grads);
  auto const shared = [&](Zero part, int64_t elements) { return zero >= part ? elements / data : elements; };
  memory.parameters = shared(Zero::parameters, layout.total_elements()) * weight;
  memory.gradients = shared(Zero::gradients, layout.trained_elements()) * grad;
  memory.optimizer = shared(Zero::optimizer, layout.trained_elements()) * (formats.weights == DType::fp32 ? 8 : 12);
  if (data == 1) return;
  int64_t const embedding = layout.trained(0) ? layout.elements(0) : 0;
  memory.gradient_buffers = (embedding + formats.grad_buffers() * largest_trained(layout)) * grad;
  if (zero < Zero::parameters) return;
  // Two blocks take turns; the two tables come and go, the head's beside the embedding's where they are one.
  int64_t const head = layout.elements(layout.model_units() - 1);
  int64_t const tables = config.tie_word_embeddings ? layout.elements(0) + head : std::max(layout.elements(0), head);
  int64_t const adapter = layout.adapter_of(1);
  memory.gathered = (2 * (layout.elements(1) + (adapter < 0 ? 0 : layout.elements(adapter))) + tables) * weight;
}

/// What a block's graph holds until its backward, beside its input. An adapter's low-rank products are with it.
int64_t graph_of_a_block(Sizes const& s, Recompute recompute) {
  int64_t const attention = s.tokens * (s.qkv + s.queries) * s.width + s.tokens * s.heads * 4;
  int64_t const scales = 2 * s.local_tokens * 4;
  int64_t const gate_up = recompute == Recompute::selective ? 0 : s.tokens * 2 * s.mlp * s.width;
  return s.rows() + attention + scales + gate_up + s.tokens * s.low_rank * s.width;
}

/// The backward of the MLP, a block's widest part: the residual's gradient passes by, that of the activation and that
/// of the norm's output are there, and the norm's output is made again.
int64_t block_in_work(Sizes const& s, Recompute recompute) {
  int64_t bytes = s.rows() + s.tokens * s.mlp * s.width + 2 * s.all_rows();
  if (s.shares_rows) bytes += s.all_rows();  // the gathered gradient
  if (recompute == Recompute::selective) bytes += s.tokens * 2 * s.mlp * s.width;
  if (recompute == Recompute::block) bytes += graph_of_a_block(s, Recompute::none);
  // One product's operands and result in fp32.
  return bytes + s.fp32(s.tokens * 2 * s.mlp + 2 * s.mlp * s.hidden + s.tokens * s.hidden);
}

int64_t head_in_work(Sizes const& s, Formats const& formats, int64_t rows) {
  int64_t bytes = rows * s.vocabulary * 4;           // logits, which become their own gradient
  bytes += 2 * s.rows() + s.all_rows();              // the gradient of all rows, and of this rank's
  if (s.shares_rows) bytes += s.all_rows();          // all rows
  bytes += rows * s.hidden * (3 * 4 + 2 * s.width);  // a chunk's rows, normed rows and their gradients
  bytes += s.fp32(s.vocabulary * s.hidden);          // the output matrix
  if (formats.device == DeviceKind::cpu && formats.grads != DType::fp32 && !formats.adapter)
    bytes += std::min(s.vocabulary * s.hidden, int64_t{1} << 22) * 3 * 4;  // its gradient is added in pieces
  return bytes;
}

int64_t scratch(ParameterLayout const& layout, RunLayout const& run, Sizes const& s, Formats const& formats) {
  // MpiCollectives' piece; longer buffers go through in such pieces.
  constexpr int64_t piece = 16 * mebibyte;
  int64_t bytes = 0;
  if (run.tensor > 1) bytes += std::min(piece, s.all_rows());
  if (run.data > 1)
    // MPI's own and what the heap keeps of it: measured, from 0 to 30 MiB for each other data rank.
    bytes += (std::min(run.data, 8) - 1) * piece +
             std::min(piece, std::max(layout.trained(0) ? layout.elements(0) : 0, largest_trained(layout)) *
                                 width_of(formats.grads));
  return bytes;
}

}  // namespace

int64_t RankMemory::total() const noexcept {
  return parameters + gathered + gradients + gradient_buffers + optimizer + state_copy + kept + std::max(block, head) +
         communication + runtime;
}

std::array<std::pair<char const*, int64_t>, 11> RankMemory::parts() const {
  return {{{"parameters", parameters},
           {"gathered parameters", gathered},
           {"gradients", gradients},
           {"gradient buffers", gradient_buffers},
           {"optimizer", optimizer},
           {"checkpoint copy", state_copy},
           {"kept activations", kept},
           {"block in work", block},
           {"logits chunk and head", head},
           {"communication buffers", communication},
           {"libraries", runtime}}};
}

RankMemory rank_memory(ModelConfig const& config, RunLayout const& layout, Formats const& formats,
                       PairWork const& longest) {
  ParameterLayout const parameters(
      config, {.tensor_size = layout.tensor, .data_size = layout.data, .sequence = layout.sequence}, formats.adapter);
  Sizes const sizes(config, layout, formats, longest);
  RankMemory memory;
  add_states(memory, config, parameters, layout.zero, formats);
  int64_t const a_block =
      sizes.rows() + (layout.recompute == Recompute::block ? 0 : graph_of_a_block(sizes, layout.recompute));
  memory.kept = config.num_hidden_layers * a_block + sizes.rows();
  memory.block = block_in_work(sizes, layout.recompute);
  memory.head = head_in_work(sizes, formats, std::min(formats.chunk_rows(config, layout.tensor), longest.scored));
  if (formats.device == DeviceKind::cpu) {
    if (formats.copies_state) memory.state_copy = parameters.trained_elements() / layout.data * 12;
    memory.communication = scratch(parameters, layout, sizes, formats);
    memory.runtime = 48 * mebibyte;
  } else {
    // NCCL's buffers for its channels; a CUDA context with the libraries' kernels and workspaces.
    memory.communication = (layout.tensor > 1 ? 512 : 0) * mebibyte + (layout.data > 1 ? 1024 : 0) * mebibyte;
    memory.runtime = 1536 * mebibyte;
  }
  return memory;
}

int64_t parameter_count(ModelConfig const& config, Adapter const& adapter) {
  int64_t count = adapter ? trained_count(config, adapter) : 0;
  for (auto const& info : checkpoint::parameter_list(config)) count += element_count(info.shape);
  return count;
}

int64_t trained_count(ModelConfig const& config, Adapter const& adapter) {
  int64_t count = 0;
  for (auto const& info :
       adapter ? checkpoint::adapter_parameters(config, *adapter) : checkpoint::parameter_list(config))
    count += element_count(info.shape);
  return count;
}

RunDisk run_disk(ModelConfig const& config, Adapter const& adapter) {
  auto const trained = trained_count(config, adapter);
  return adapter ? RunDisk::of_adapter(trained) : RunDisk{trained, trained * width_of(config.dtype)};
}

}  // namespace refrain::train

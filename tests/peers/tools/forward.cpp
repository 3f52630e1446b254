// Runs the decoder over one packed batch, for comparison with other implementations. Not installed.
//
//     mpirun -n N forward MODEL_FOLDER REQUEST.json OUT_FOLDER
//
// All ranks are tensor ranks. The request: {"tokens": [...], "positions": [...], "segments": [[begin, length,
// prefix_begin, prefix_length], ...], "head_rows": [...], "targets": [...], "dlogp": [...], "chunk_rows": 16, "dtype":
// "fp32", "logits": true, "adapter": FOLDER}. Into OUT_FOLDER go logits, logp, mean_logit, entropy (fp32) and top1
// (int64) as plain arrays, and, where dlogp is given, the gradients of sum(dlogp * logp) by what is trained:
// rank-R.json names each parameter and its slice, rank-R.f32 holds them. Every backward is run twice from the same
// weights, and their bits are compared.
#include <refrain/base/error.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/checkpoint/adapter.hpp>
#include <refrain/checkpoint/tensor_source.hpp>
#include <refrain/comm/mpi_session.hpp>
#include <refrain/comm/parallel_layout.hpp>
#include <refrain/model/autograd.hpp>
#include <refrain/model/decoder.hpp>
#include <refrain/model/slices.hpp>

#include <ATen/ATen.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>

namespace {

using namespace refrain;
namespace fs = std::filesystem;

at::Tensor integers(Json const& list) { return at::tensor(list.get<std::vector<int64_t>>(), at::kLong); }

model::PackedBatch batch_of(Json const& request) {
  model::PackedBatch batch;
  batch.tokens_T = integers(request.at("tokens"));
  batch.positions_T = integers(request.at("positions"));
  batch.head_rows_N = integers(request.at("head_rows"));
  batch.targets_N = integers(request.at("targets"));
  for (Json const& s : request.at("segments"))
    batch.segments.push_back({s[0].get<int32_t>(), s[1].get<int32_t>(), s[2].get<int32_t>(), s[3].get<int32_t>()});
  return batch;
}

void write(fs::path const& path, at::Tensor const& values) {
  at::Tensor const whole = values.contiguous();
  std::ofstream(path, std::ios::binary)
      .write(static_cast<char const*>(whole.data_ptr()), static_cast<std::streamsize>(whole.nbytes()));
}

// One forward pass; with gradients where dlogp is defined, as the trainer's loop does it.
model::HeadOut run(model::ParameterStore& store, model::Decoder const& decoder, model::PackedBatch const& batch,
                   int64_t chunk_rows, at::Tensor const& dlogp_N, at::Tensor* hidden) {
  std::vector<at::Tensor> inputs, outputs{decoder.embed(batch)};
  for (int i = 0; i < decoder.blocks(); ++i) {
    inputs.push_back(outputs.back().detach().requires_grad_(dlogp_N.defined()));
    outputs.push_back(decoder.block(i, inputs.back(), batch));
  }
  at::Tensor const last = outputs.back().detach().requires_grad_(dlogp_N.defined());
  model::HeadOut out = decoder.head(last, batch, chunk_rows);
  if (dlogp_N.defined()) {
    at::Tensor grad_TD = model::backpropagate(out.logp_N, last, dlogp_N);
    for (int i = decoder.blocks() - 1; i >= 0; --i) grad_TD = model::backpropagate(outputs[i + 1], inputs[i], grad_TD);
    decoder.embed_backward(batch, grad_TD);
    for (int unit = 0; unit < store.units(); ++unit) store.reduce(unit);
    store.finish_reductions();
    store.finish_grads();
  }
  *hidden = last.detach();
  return out;
}

void write_gradients(model::ParameterStore const& store, fs::path const& folder) {
  std::string const stem = "rank-" + std::to_string(store.backend().tensor().rank());
  Json index = Json::array();
  std::ofstream values(folder / (stem + ".f32"), std::ios::binary);
  for (auto const& spec : store.specs()) {
    if (!store.layout().trained(spec.info.unit)) continue;
    at::Tensor const part = store.flat_grads(spec.info.unit).narrow(0, spec.offset, spec.global_count()).to(at::kFloat);
    values.write(static_cast<char const*>(part.data_ptr()), static_cast<std::streamsize>(part.nbytes()));
    index.push_back({{"name", spec.info.name},
                     {"start", spec.global.start},
                     {"count", spec.global.count},
                     {"shape", spec.info.shape}});
  }
  std::ofstream(folder / (stem + ".json")) << index;
}

void compare(fs::path const& model_folder, Json const& request, fs::path const& out_folder) {
  comm::Communicator const world = comm::Communicator::world();
  comm::ParallelLayout const layout(world, world.size());
  auto const backend = model::cpu_backend(layout);
  auto const source = checkpoint::open_model(model_folder);
  bool const shares_rows = request.value("sequence_parallel", false);
  std::optional<checkpoint::Adapter> adapter;
  if (request.contains("adapter")) adapter = checkpoint::open_adapter(request.at("adapter").get<std::string>());
  model::ParameterStore store(checkpoint::ModelConfig::load(source->folder()), *backend,
                              {.weights = dtype_from_string(request.value("dtype", "fp32")),
                               .sequence = shares_rows ? model::SequenceParallel::on : model::SequenceParallel::off,
                               .adapter = adapter ? std::optional(adapter->config) : std::nullopt});
  std::vector<model::FlatPart> parts;
  for (int unit = store.layout().first_trained(); unit < store.units(); ++unit)
    parts.push_back({unit, store.owned_weights(unit), store.owned(unit)});
  model::read_weights(store.layout(), parts, adapter ? *adapter->tensors : *source);
  model::load_model(store, *source);
  model::Decoder const decoder(store);
  model::PackedBatch const batch = batch_of(request);
  int64_t const chunk_rows =
      request.value("chunk_rows", model::default_chunk_rows(store.config(), store.backend().tensor().size(), false));
  at::Tensor dlogp_N, hidden_TD;
  if (request.contains("dlogp")) dlogp_N = at::tensor(request.at("dlogp").get<std::vector<double>>(), at::kFloat);
  model::HeadOut const out = run(store, decoder, batch, chunk_rows, dlogp_N, &hidden_TD);
  if (dlogp_N.defined()) {
    write_gradients(store, out_folder);
    std::map<int, at::Tensor> first;
    for (int unit = store.layout().first_trained(); unit < store.units(); ++unit)
      first[unit] = store.flat_grads(unit).clone();
    store.zero_grads();
    run(store, decoder, batch, chunk_rows, dlogp_N, &hidden_TD);
    for (auto const& [unit, grads] : first)
      if (!grads.equal(store.flat_grads(unit)))
        throw Error("two backward passes gave different bits in unit " + std::to_string(unit));
  }
  at::Tensor const logits_NV = request.value("logits", false) ? decoder.logits(hidden_TD, batch) : at::Tensor();
  if (world.rank() == 0) {
    if (logits_NV.defined()) write(out_folder / "logits", logits_NV);
    write(out_folder / "logp", out.logp_N.detach());
    write(out_folder / "mean_logit", out.mean_logit_N);
    write(out_folder / "entropy", out.entropy_N);
    write(out_folder / "top1", out.top1_N);
    std::ofstream(out_folder / "peak_memory") << backend->peak_memory();
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: forward MODEL_FOLDER REQUEST.json OUT_FOLDER\n";
    return 2;
  }
  comm::MpiSession const session(argc, argv);
  try {
    compare(argv[1], read_json(argv[2]), argv[3]);
    return 0;
  } catch (std::exception const& error) {
    std::cerr << error.what() << std::endl;
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
}

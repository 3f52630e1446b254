#include <refrain/base/trace.hpp>
#include <refrain/model/autograd.hpp>
#include <refrain/model/head.hpp>
#include <refrain/model/kernels.hpp>
#include <refrain/model/ops.hpp>
#include <refrain/model/products.hpp>

#include <ATen/ATen.h>

#include <algorithm>

namespace refrain::model {
namespace {

// The output matrix as this rank holds it, without the rows that pad the vocabulary.
struct Vocabulary {
  int64_t start, count, whole;

  Vocabulary(ParamSpec const& spec)
      : start(spec.global.start[0]), count(spec.global.count[0]), whole(spec.info.shape[0]) {}
  at::Tensor rows(at::Tensor const& matrix_VD) const { return matrix_VD.narrow(0, 0, count); }
};

// body(begin, rows) for each chunk of N rows.
template <class Body>
void over_chunks(int64_t rows, int64_t chunk_rows, Body const& body) {
  for (int64_t begin = 0; begin < rows; begin += chunk_rows) body(begin, std::min(chunk_rows, rows - begin));
}

// What is made of one chunk of scored rows, forward and again in backward, with one buffer for the logits of all
// chunks.
class ChunkLogits {
public:
  ChunkLogits(at::Tensor const& x_TD, ParameterStore& store, HeadIds const& ids, PackedBatch const& batch,
              int64_t chunk_rows)
      : x_TD_(x_TD),
        rows_N_(batch.head_rows_N),
        norm_weight_(store.weight(ids.norm)),
        eps_(store.config().rms_norm_eps),
        weight_VD_(as_factor(Vocabulary(store.specs()[ids.output]).rows(store.weight(ids.output)))),
        buffer_(at::empty({std::min(chunk_rows, rows_N_.size(0)), weight_VD_.size(0)},
                          weight_VD_.options().dtype(at::kFloat))) {}

  struct Chunk {
    at::Tensor rows_C, x_CD, scale_C, normed_CD, logits_CV;  // normed as a factor, logits in fp32
  };
  Chunk operator()(int64_t begin, int64_t count) {
    at::Tensor const rows_C = rows_N_.narrow(0, begin, count), x_CD = x_TD_.index_select(0, rows_C);
    kernels::NormOut const norm = kernels::rms_norm(x_CD, norm_weight_, eps_);
    Chunk chunk{rows_C, x_CD, norm.scale_T, as_factor(norm.y_TD), buffer_.narrow(0, 0, count)};
    logits_of(chunk.logits_CV, chunk.normed_CD, weight_VD_);
    return chunk;
  }
  at::Tensor const& weight_VD() const { return weight_VD_; }

private:
  at::Tensor x_TD_, rows_N_, norm_weight_;
  double eps_;
  at::Tensor weight_VD_, buffer_;
};

void reduce(comm::Collectives& ranks, at::Tensor const& values, comm::ReduceOp op) {
  if (ranks.size() > 1) ranks.wait(ranks.all_reduce(buffer_of(values), op, comm::Lane::compute), comm::Lane::compute);
}

// Puts the ranks' parts of each row's softmax together: three small collectives for all rows.
struct Joined {
  HeadOut out;
  at::Tensor log_sum_exp_N;
};
Joined join(kernels::RowStats const& part, Vocabulary const& vocabulary, comm::Collectives& ranks) {
  at::Tensor const max_N = part.max_N.clone();
  reduce(ranks, max_N, comm::ReduceOp::max);
  at::Tensor const below_N = part.max_N - max_N, share_N = below_N.exp();
  at::Tensor const sums_4N = at::stack(
      {part.sum_exp_N * share_N, (part.sum_dot_N + below_N * part.sum_exp_N) * share_N, part.sum_N, part.target_N});
  reduce(ranks, sums_4N, comm::ReduceOp::sum);
  // The lowest token of those ranks that hold the maximum, as the maximum of negated ids.
  at::Tensor const first_N = at::where(below_N.eq(0), -(part.argmax_N + static_cast<double>(vocabulary.start)),
                                       -static_cast<double>(vocabulary.whole));
  reduce(ranks, first_N, comm::ReduceOp::max);
  at::Tensor const log_sum_N = sums_4N[0].log(), log_sum_exp_N = max_N + log_sum_N;
  return {{.logp_N = sums_4N[3] - log_sum_exp_N,
           .mean_logit_N = sums_4N[2] / static_cast<double>(vocabulary.whole),
           .entropy_N = log_sum_N - sums_4N[1] / sums_4N[0],
           .top1_N = first_N.neg().to(at::kLong)},
          log_sum_exp_N};
}

}  // namespace

int64_t default_chunk_rows(checkpoint::ModelConfig const& config, int tensor_degree, bool on_gpu) {
  int64_t const logits = int64_t{on_gpu ? 512 : 64} * (1 << 20) / 4;
  return std::max<int64_t>(16, logits * tensor_degree / config.vocab_size);
}

HeadOut token_logps(at::Tensor const& x_TD, ParameterStore& store, HeadIds const& ids, PackedBatch const& batch,
                    int64_t chunk_rows) {
  trace::Span const span("head");
  Vocabulary const vocabulary(store.specs()[ids.output]);
  int64_t const rows = batch.head_rows_N.size(0);
  at::Tensor const x = x_TD.detach(), local_targets_N = batch.targets_N - vocabulary.start;
  auto const empty = [&] { return at::empty({rows}, x.options().dtype(at::kFloat)); };
  kernels::RowStats const part{empty(), empty(), empty(), empty(), empty(), empty()};
  {
    ChunkLogits chunks(gather_rows(x, store), store, ids, batch, chunk_rows);
    over_chunks(rows, chunk_rows, [&](int64_t begin, int64_t count) {
      kernels::row_stats(chunks(begin, count).logits_CV, local_targets_N.narrow(0, begin, count), begin, part);
    });
  }
  Joined joined = join(part, vocabulary, store.backend().tensor());
  joined.out.logp_N = differentiable(x_TD, joined.out.logp_N, [&]() -> Backward {
    return [x, local_targets_N, log_sum_exp_N = joined.log_sum_exp_N, &store, ids, batch, vocabulary, rows,
            chunk_rows](at::Tensor const& dlogp) {
      trace::Span const inner("head");
      at::Tensor const dlogp_N = dlogp.contiguous();
      bool const trained = store.trained(ids.output);
      at::Tensor const grad_VD = trained ? vocabulary.rows(store.main_grad(ids.output)) : at::Tensor();
      at::Tensor const x_all = gather_rows(x, store), dx_TD = at::zeros_like(x_all);
      ChunkLogits chunks(x_all, store, ids, batch, chunk_rows);
      over_chunks(rows, chunk_rows, [&](int64_t begin, int64_t count) {
        auto const [rows_C, x_CD, scale_C, normed_CD, logits_CV] = chunks(begin, count);
        kernels::logits_to_gradient(logits_CV, local_targets_N.narrow(0, begin, count),
                                    log_sum_exp_N.narrow(0, begin, count), dlogp_N.narrow(0, begin, count));
        at::Tensor const dlogits_CV = logits_CV.to(normed_CD.scalar_type());
        if (trained) add_outer_product(grad_VD, dlogits_CV, normed_CD);
        // This rank's part of the vocabulary gives a part of the sum.
        at::Tensor const dnormed_CD = at::mm(dlogits_CV, chunks.weight_VD()).to(x.scalar_type());
        reduce(store.backend().tensor(), dnormed_CD, comm::ReduceOp::sum);
        dx_TD.index_add_(
            0, rows_C,
            kernels::rms_norm_backward(dnormed_CD, x_CD, store.weight(ids.norm), scale_C, store.main_grad(ids.norm)));
      });
      return share_of_rows(dx_TD, store);
    };
  });
  return joined.out;
}

}  // namespace refrain::model

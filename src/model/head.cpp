#include <refrain/model/autograd.hpp>
#include <refrain/model/head.hpp>
#include <refrain/model/kernels.hpp>
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

// One buffer for the logits of all chunks.
class ChunkLogits {
public:
  ChunkLogits(at::Tensor const& hidden_ND, at::Tensor const& weight_VD, int64_t chunk_rows)
      : hidden_(hidden_ND),
        weight_(weight_VD),
        buffer_(at::empty({std::min(chunk_rows, hidden_ND.size(0)), weight_VD.size(0)}, weight_VD.options())) {}

  at::Tensor operator()(int64_t begin, int64_t rows) {
    at::Tensor logits_CV = buffer_.narrow(0, 0, rows);
    return at::mm_out(logits_CV, hidden_.narrow(0, begin, rows), weight_.t());
  }

private:
  at::Tensor hidden_, weight_, buffer_;
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

int64_t default_chunk_rows(ParameterStore const& store) {
  constexpr int64_t logits = (64 << 20) / 4;
  int64_t const tensor_degree = store.backend().tensor().size();
  return std::max<int64_t>(16, logits * tensor_degree / store.config().vocab_size);
}

HeadOut token_logps(at::Tensor const& hidden_ND, ParameterStore& store, ParamId weight, at::Tensor const& targets_N,
                    int64_t chunk_rows) {
  Vocabulary const vocabulary(store.specs()[weight]);
  int64_t const rows = hidden_ND.size(0);
  at::Tensor const hidden = hidden_ND.detach(), local_targets_N = targets_N - vocabulary.start;
  auto const empty = [&] { return at::empty({rows}, hidden.options().dtype(at::kFloat)); };
  kernels::RowStats const part{empty(), empty(), empty(), empty(), empty(), empty()};
  {
    ChunkLogits logits(hidden.to(at::kFloat), vocabulary.rows(store.weight(weight)).to(at::kFloat), chunk_rows);
    over_chunks(rows, chunk_rows, [&](int64_t begin, int64_t count) {
      kernels::row_stats(logits(begin, count), local_targets_N.narrow(0, begin, count), begin, part);
    });
  }
  Joined joined = join(part, vocabulary, store.backend().tensor());
  joined.out.logp_N = differentiable(hidden_ND, joined.out.logp_N, [&]() -> Backward {
    return [hidden, local_targets_N, log_sum_exp_N = joined.log_sum_exp_N, &store, weight, vocabulary, rows,
            chunk_rows](at::Tensor const& dlogp) {
      at::Tensor const dlogp_N = dlogp.contiguous(), hidden_fp32 = hidden.to(at::kFloat);
      at::Tensor const weight_VD = vocabulary.rows(store.weight(weight)).to(at::kFloat);
      at::Tensor const grad_VD = vocabulary.rows(store.main_grad(weight));
      at::Tensor const dhidden_ND = at::empty_like(hidden_fp32);
      ChunkLogits logits(hidden_fp32, weight_VD, chunk_rows);
      over_chunks(rows, chunk_rows, [&](int64_t begin, int64_t count) {
        at::Tensor const chunk_CV = logits(begin, count);
        kernels::logits_to_gradient(chunk_CV, local_targets_N.narrow(0, begin, count),
                                    log_sum_exp_N.narrow(0, begin, count), dlogp_N.narrow(0, begin, count));
        at::Tensor dhidden_CD = dhidden_ND.narrow(0, begin, count);
        at::mm_out(dhidden_CD, chunk_CV, weight_VD);
        add_outer_product(grad_VD, chunk_CV, hidden_fp32.narrow(0, begin, count));
      });
      return dhidden_ND.to(hidden.scalar_type());
    };
  });
  return joined.out;
}

}  // namespace refrain::model

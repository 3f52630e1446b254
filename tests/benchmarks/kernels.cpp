// Each fused loop against the shortest composition of libtorch's own operators, forward and backward, in turn.
#include <refrain/model/kernels.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

namespace kernels = refrain::model::kernels;

namespace {

constexpr int rounds = 7;

double seconds(std::function<void()> const& work) {
  auto const begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void compare(char const* name, std::function<void()> const& ours, std::function<void()> const& theirs) {
  std::vector<double> mine, others;
  ours(), theirs();
  for (int round = 0; round < rounds; ++round) {
    mine.push_back(seconds(ours));
    others.push_back(seconds(theirs));
  }
  std::sort(mine.begin(), mine.end());
  std::sort(others.begin(), others.end());
  std::printf("%-44s %8.2f ms   libtorch %8.2f ms   %5.2f x\n", name, 1e3 * mine[rounds / 2], 1e3 * others[rounds / 2],
              others[rounds / 2] / mine[rounds / 2]);
}

at::Tensor leaf(at::Tensor const& x) { return x.detach().requires_grad_(true); }

void backward(at::Tensor const& y, std::vector<at::Tensor> const& inputs, at::Tensor const& dy) {
  torch::autograd::grad({y}, inputs, {dy});
}

void norms(int64_t tokens, int64_t width) {
  at::Tensor const x = at::randn({tokens, width}), w = at::randn({width}), dy = at::randn({tokens, width});
  at::Tensor const grad = at::zeros({width});
  compare(
      "RMSNorm, forward and backward",
      [&] {
        auto const out = kernels::rms_norm(x, w, 1e-5);
        kernels::rms_norm_backward(dy, x, w, out.scale_T, grad);
      },
      [&] {
        at::Tensor const x_leaf = leaf(x), w_leaf = leaf(w);
        backward(at::rms_norm(x_leaf, {width}, w_leaf, 1e-5), {x_leaf, w_leaf}, dy);
      });
}

void rotary(int64_t tokens, int64_t heads, int64_t head_dim) {
  at::Tensor const x = at::randn({tokens, heads * head_dim}), positions = at::arange(tokens, at::kLong);
  at::Tensor const cos = at::rand({tokens, head_dim / 2}), sin = at::rand({tokens, head_dim / 2});
  at::Tensor const c = at::cat({cos, cos}, 1).unsqueeze(1), s = at::cat({sin, sin}, 1).unsqueeze(1);
  auto const turned = [&](at::Tensor const& h) {
    auto const halves = h.chunk(2, 2);
    return h * c + at::cat({-halves[1], halves[0]}, 2) * s;
  };
  compare(
      "rotary embedding, forward and backward",
      [&] {
        kernels::rotate(x, heads, head_dim, positions, cos, sin, kernels::Rotation::forward);
        kernels::rotate(x, heads, head_dim, positions, cos, sin, kernels::Rotation::backward);
      },
      [&] {
        at::Tensor const h = leaf(x.view({tokens, heads, head_dim}));
        backward(turned(h), {h}, h.detach());
      });
}

void swiglu(int64_t tokens, int64_t width) {
  at::Tensor const x = at::randn({tokens, 2 * width}), dy = at::randn({tokens, width});
  compare(
      "SwiGLU, forward and backward",
      [&] {
        at::Tensor const kept = x.clone();  // what the product before it would have written
        kernels::swiglu(kept);
        kernels::swiglu_backward(dy, kept);
      },
      [&] {
        at::Tensor const x_leaf = leaf(x.clone());
        auto const halves = x_leaf.chunk(2, 1);
        backward(at::silu(halves[0]) * halves[1], {x_leaf}, dy);
      });
}

void softmax(int64_t rows, int64_t vocabulary) {
  at::Tensor const logits = at::randn({rows, vocabulary}), targets = at::randint(0, vocabulary, {rows}, at::kLong);
  at::Tensor const dlogp = at::randn({rows});
  auto const empty = [&] { return at::empty({rows}); };
  kernels::RowStats const stats{empty(), empty(), empty(), empty(), empty(), empty()};
  compare(
      "log-softmax with gather, entropy and argmax",
      [&] {
        at::Tensor const work = logits.clone();  // the gradient overwrites it
        kernels::row_stats(work, targets, 0, stats);
        kernels::logits_to_gradient(work, targets, stats.max_N + stats.sum_exp_N.log(), dlogp);
      },
      [&] {
        at::Tensor const l = leaf(logits);
        at::Tensor const logps = l.log_softmax(1), logp = logps.gather(1, targets.unsqueeze(1)).squeeze(1);
        at::Tensor const plain = logps.detach();
        at::Tensor const entropy = -(plain.exp() * plain).sum(1), likeliest = plain.argmax(1), mean = logits.mean(1);
        backward(logp, {l}, dlogp);
      });
}

void optimizer(int64_t count) {
  at::Tensor const p = at::randn({count}), m = at::randn({count}), v = at::rand({count}), g = at::randn({count});
  at::Tensor const g16 = g.to(at::kBFloat16), w16 = p.to(at::kBFloat16), step = at::ones({});
  kernels::AdamSettings const settings{.grad_scale = 1,
                                       .decay = 1,
                                       .beta1_rest = 0.1F,
                                       .beta2 = 0.999F,
                                       .beta2_rest = 0.001F,
                                       .step_size = 1e-3F,
                                       .correction2 = 1,
                                       .eps = 1e-8F};
  auto const ours = [&](at::Tensor const& grads, at::Tensor const& weights) {
    kernels::adamw({.master = p, .exp_avg = m, .exp_avg_sq = v, .grad = grads, .weights = weights}, settings);
  };
  auto const fused = [&](at::Tensor const& grads) {
    at::_fused_adamw_({p}, {grads}, {m}, {v}, {}, {step}, 1e-3, 0.9, 0.999, 0.0, 1e-8, false, false);
  };
  compare("AdamW, fp32", [&] { ours(g, p); }, [&] { fused(g); });
  compare(
      "AdamW, bf16 gradients and weights", [&] { ours(g16, w16); },
      [&] {
        fused(g16.to(at::kFloat));
        w16.copy_(p);
      });
  compare(
      "gradient norm in fp64",
      [&] { kernels::sum_of_squares(g); },
      [&] { at::linalg_vector_norm(g, 2, c10::nullopt, false, at::kDouble).item<double>(); });
}

}  // namespace

int main() {
  std::printf("%d threads, median of %d rounds in turn\n", at::get_num_threads(), rounds);
  norms(4096, 2048);
  rotary(4096, 32, 64);
  swiglu(4096, 5632);
  softmax(512, 32000);
  optimizer(1 << 25);
  return EXIT_SUCCESS;
}

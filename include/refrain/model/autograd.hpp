#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace refrain::model {

/// What a product needs of its input in backward: the gradient of y in, the gradient of x out.
using Backward = std::function<at::Tensor(at::Tensor const& dy)>;

/// Hooks `y`, computed from `x` without autograd, into the graph with a backward written by hand. All our operations
/// are of this form: one differentiable input, one output, since weights are not seen by autograd. Does nothing where
/// `x` needs no gradient or gradients are switched off. The closure is dropped after its first use, and what it holds
/// with it; it must hold neither `y` nor `x` themselves (a cycle, or a graph kept alive) but `detach()`ed ones.
at::Tensor differentiable(at::Tensor const& x, at::Tensor y, std::function<Backward()> const& make_backward);

/// The gradient of `x` given that of `y`: backward through what lies between, which is then freed. Runs on this thread.
at::Tensor backpropagate(at::Tensor const& y, at::Tensor const& x, at::Tensor const& dy);

}  // namespace refrain::model

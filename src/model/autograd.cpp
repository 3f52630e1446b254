#include <refrain/model/autograd.hpp>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

namespace refrain::model {
namespace {

class HandWritten : public torch::autograd::Node {
public:
  explicit HandWritten(Backward backward) : backward_(std::move(backward)) {}

  void release_variables() override { backward_ = nullptr; }

protected:
  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    at::AutoDispatchBelowADInplaceOrView const no_autograd;
    return {backward_(gradients[0])};
  }

private:
  Backward backward_;
};

}  // namespace

at::Tensor differentiable(at::Tensor const& x, at::Tensor y, std::function<Backward()> const& make_backward) {
  if (at::GradMode::is_enabled() && x.requires_grad()) {
    auto node = c10::make_intrusive<HandWritten>(make_backward());
    node->set_next_edges(torch::autograd::collect_next_edges(x));
    torch::autograd::set_history(y, node);
  }
  return y;
}

at::Tensor backpropagate(at::Tensor const& y, at::Tensor const& x, at::Tensor const& dy) {
  return torch::autograd::grad({y}, {x}, {dy})[0];
}

}  // namespace refrain::model

#include <refrain/base/trace.hpp>
#include <refrain/model/products.hpp>

#include <ATen/ATen.h>

namespace refrain::model {

at::Tensor times_transposed(at::Tensor const& x_TI, at::Tensor const& weight_OI) {
  trace::Span const span("matrix products");
  return at::mm(x_TI.to(at::kFloat), weight_OI.to(at::kFloat).t()).to(x_TI.scalar_type());
}

at::Tensor times(at::Tensor const& dy_TO, at::Tensor const& weight_OI) {
  trace::Span const span("matrix products");
  return at::mm(dy_TO.to(at::kFloat), weight_OI.to(at::kFloat)).to(dy_TO.scalar_type());
}

void add_outer_product(at::Tensor const& grad_OI, at::Tensor const& dy_TO, at::Tensor const& x_TI) {
  trace::Span const span("matrix products");
  at::Tensor const dy = dy_TO.to(at::kFloat), x = x_TI.to(at::kFloat);
  if (grad_OI.scalar_type() == at::kFloat)
    grad_OI.addmm_(dy.t(), x);
  else
    grad_OI.add_(at::mm(dy.t(), x));
}

}  // namespace refrain::model

#include <refrain/base/trace.hpp>
#include <refrain/model/products.hpp>

#include <ATen/ATen.h>

namespace refrain::model {
namespace {

// sum += a b, of fp32 matrices, to a sum of any type.
void add_product(at::Tensor const& sum, at::Tensor const& a, at::Tensor const& b) {
  trace::Span const span("matrix products");
  if (sum.scalar_type() == at::kFloat)
    sum.addmm_(a, b);
  else
    sum.add_(at::mm(a, b));
}

}  // namespace

at::Tensor times_transposed(at::Tensor const& x_TI, at::Tensor const& weight_OI) {
  trace::Span const span("matrix products");
  return at::mm(x_TI.to(at::kFloat), weight_OI.to(at::kFloat).t()).to(x_TI.scalar_type());
}

at::Tensor times(at::Tensor const& dy_TO, at::Tensor const& weight_OI) {
  trace::Span const span("matrix products");
  return at::mm(dy_TO.to(at::kFloat), weight_OI.to(at::kFloat)).to(dy_TO.scalar_type());
}

void add_times_transposed(at::Tensor const& y_TO, at::Tensor const& x_TI, at::Tensor const& weight_OI) {
  add_product(y_TO, x_TI.to(at::kFloat), weight_OI.to(at::kFloat).t());
}

void add_times(at::Tensor const& dx_TI, at::Tensor const& dy_TO, at::Tensor const& weight_OI) {
  add_product(dx_TI, dy_TO.to(at::kFloat), weight_OI.to(at::kFloat));
}

void add_outer_product(at::Tensor const& grad_OI, at::Tensor const& dy_TO, at::Tensor const& x_TI) {
  add_product(grad_OI, dy_TO.to(at::kFloat).t(), x_TI.to(at::kFloat));
}

}  // namespace refrain::model

#include <refrain/base/trace.hpp>
#include <refrain/model/products.hpp>

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <optional>
#include <string_view>

namespace refrain::model {
namespace {

// A product in fp32 to a sum of another type, some rows at a time: in one piece it, and the copies that adding two
// types makes, would be as large as the output matrix several times.
void add_in_pieces(at::Tensor const& sum, at::Tensor const& a, at::Tensor const& b) {
  constexpr int64_t elements = 1 << 22;
  int64_t const rows = sum.size(0), at_once = std::max<int64_t>(1, elements / std::max<int64_t>(1, sum.size(1)));
  for (int64_t begin = 0; begin < rows; begin += at_once) {
    int64_t const count = std::min(at_once, rows - begin);
    sum.narrow(0, begin, count).add_(at::mm(a.narrow(0, begin, count), b));
  }
}

// sum += a b, of factors as products take them, to a sum of any type.
void add_product(at::Tensor sum, at::Tensor const& a, at::Tensor const& b) {
  trace::Span const span("matrix products");
  if (sum.is_cuda() && sum.scalar_type() != b.scalar_type())
    // bf16 in, fp32 out: one product, and nothing is converted.
    at::addmm_out(sum, sum, a.to(b.scalar_type()), b, sum.scalar_type());
  else if (sum.is_cuda() || sum.scalar_type() == at::kFloat)
    sum.addmm_(a.to(b.scalar_type()), b);
  else
    add_in_pieces(sum, a, b);
}

}  // namespace

at::Tensor as_factor(at::Tensor const& x) { return x.is_cuda() ? x : x.to(at::kFloat); }

at::Tensor times_transposed(at::Tensor const& x_TI, at::Tensor const& weight_OI) {
  trace::Span const span("matrix products");
  if (x_TI.is_cuda()) return at::mm(x_TI, weight_OI.to(x_TI.scalar_type()).t());
  return at::mm(x_TI.to(at::kFloat), weight_OI.to(at::kFloat).t()).to(x_TI.scalar_type());
}

at::Tensor times_transposed_forward(at::Tensor const& x_TI, at::Tensor const& weight_OI) {
  using Linear = at::Tensor(at::Tensor const&, at::Tensor const&, std::optional<at::Tensor> const&, std::string_view,
                            c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
  static std::optional<c10::OperatorHandle> const linear =
      c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
  if (!linear || x_TI.is_cuda() || weight_OI.scalar_type() != at::kFloat) return times_transposed(x_TI, weight_OI);
  trace::Span const span("matrix products");
  return linear->typed<Linear>()
      .call(x_TI.to(at::kFloat), weight_OI, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), "")
      .to(x_TI.scalar_type());
}

at::Tensor times(at::Tensor const& dy_TO, at::Tensor const& weight_OI) {
  trace::Span const span("matrix products");
  if (dy_TO.is_cuda()) return at::mm(dy_TO, weight_OI.to(dy_TO.scalar_type()));
  return at::mm(dy_TO.to(at::kFloat), weight_OI.to(at::kFloat)).to(dy_TO.scalar_type());
}

void add_times_transposed(at::Tensor const& y_TO, at::Tensor const& x_TI, at::Tensor const& weight_OI) {
  add_product(y_TO, as_factor(x_TI), as_factor(weight_OI).t());
}

void add_times(at::Tensor const& dx_TI, at::Tensor const& dy_TO, at::Tensor const& weight_OI) {
  add_product(dx_TI, as_factor(dy_TO), as_factor(weight_OI));
}

void add_outer_product(at::Tensor const& grad_OI, at::Tensor const& dy_TO, at::Tensor const& x_TI) {
  add_product(grad_OI, as_factor(dy_TO).t(), as_factor(x_TI));
}

void logits_of(at::Tensor logits_CV, at::Tensor const& hidden_CD, at::Tensor const& weight_VD) {
  trace::Span const span("matrix products");
  if (hidden_CD.is_cuda() && hidden_CD.scalar_type() != at::kFloat)
    at::mm_out(logits_CV, hidden_CD, weight_VD.t(), at::kFloat);
  else
    at::mm_out(logits_CV, hidden_CD.to(at::kFloat), weight_VD.to(at::kFloat).t());
}

}  // namespace refrain::model

#include <refrain/base/trace.hpp>
#include <refrain/model/autograd.hpp>
#include <refrain/model/kernels.hpp>
#include <refrain/model/ops.hpp>
#include <refrain/model/products.hpp>

#include <memory>

#include <ATen/ATen.h>

namespace refrain::model {
namespace {

bool shares_rows(ParameterStore& store) {
  return store.options().sequence == SequenceParallel::on && store.backend().tensor().size() > 1;
}

void sum_over(comm::Collectives& ranks, at::Tensor const& x) {
  ranks.wait(ranks.all_reduce(buffer_of(x), comm::ReduceOp::sum, comm::Lane::compute), comm::Lane::compute);
}

at::Tensor sum_and_scatter(comm::Collectives& ranks, at::Tensor const& x_TD) {
  at::Tensor share = at::empty({x_TD.size(0) / ranks.size(), x_TD.size(1)}, x_TD.options());
  ranks.wait(ranks.reduce_scatter(buffer_of(share), buffer_of(x_TD.contiguous()), comm::Lane::compute),
             comm::Lane::compute);
  return share;
}

/// A value that backward needs in two places: there from the start, or made at first use. It is dropped where it is
/// taken.
class Kept {
public:
  explicit Kept(at::Tensor value) : value_(std::move(value)) {}
  explicit Kept(Again make) : make_(std::move(make)) {}

  at::Tensor get() {
    if (!value_.defined()) value_ = make_();
    return value_;
  }
  at::Tensor take() {
    at::Tensor value = get();
    value_.reset();
    return value;
  }

private:
  at::Tensor value_;
  Again make_;
};

// y; `low_TR` becomes the adapter's t = scale x A^T, where there is one.
at::Tensor project(at::Tensor const& x_TI, ParameterStore& store, Projection const& projection, at::Tensor& low_TR) {
  at::Tensor const weight_OI = store.fused_weight(projection.first, projection.count);
  at::Tensor y_TO =
      store.options().gradients ? times_transposed(x_TI, weight_OI) : times_transposed_forward(x_TI, weight_OI);
  if (projection.bias) y_TO.add_(store.fused_weight(*projection.bias, projection.count));
  if (!projection.lora) return y_TO;
  Lora const& lora = *projection.lora;
  low_TR = times_transposed(x_TI, store.fused_weight(lora.a, static_cast<int>(lora.parts.size()))).mul_(lora.scale);
  int64_t column = 0;
  for (Lora::Part const& part : lora.parts) {
    add_times_transposed(y_TO.narrow(1, part.begin, part.width), low_TR.narrow(1, column, lora.rank),
                         store.weight(part.b));
    column += lora.rank;
  }
  return y_TO;
}

// The gradient of x, which was `x_TI`; adds those of what is trained to the store's. Where the tensor ranks divide the
// columns of y, dy and with it the gradients of x and A are parts of a sum; where they divide those of x, t and with it
// the gradient of B.
at::Tensor project_backward(at::Tensor const& dy_TO, at::Tensor const& x_TI, at::Tensor const& low_TR,
                            ParameterStore& store, Projection const& projection) {
  if (store.trained(projection.first)) {
    add_outer_product(store.fused_grad(projection.first, projection.count), dy_TO, x_TI);
    if (projection.bias) store.fused_grad(*projection.bias, projection.count).add_(dy_TO.sum(0, false, at::kFloat));
  }
  at::Tensor dx_TI = times(dy_TO, store.fused_weight(projection.first, projection.count));
  if (!projection.lora) return dx_TI;
  Lora const& lora = *projection.lora;
  auto const parts = static_cast<int>(lora.parts.size());
  at::Tensor const dlow_TR = at::empty_like(low_TR);
  int64_t column = 0;
  for (Lora::Part const& part : lora.parts) {
    at::Tensor const dy_part = dy_TO.narrow(1, part.begin, part.width);
    add_outer_product(store.main_grad(part.b), dy_part, low_TR.narrow(1, column, lora.rank));
    dlow_TR.narrow(1, column, lora.rank).copy_(times(dy_part, store.weight(part.b)));
    column += lora.rank;
  }
  dlow_TR.mul_(lora.scale);
  add_outer_product(store.fused_grad(lora.a, parts), dlow_TR, x_TI);
  add_times(dx_TI, dlow_TR, store.fused_weight(lora.a, parts));
  return dx_TI;
}

}  // namespace

Projection projection_of(ParameterStore const& store, ParamId first, int count) {
  std::string bias = store.specs()[first].info.name;
  bias.replace(bias.rfind(".weight"), std::string::npos, ".bias");
  Projection result{.first = first, .count = count, .bias = store.layout().find(bias)};
  auto const& adapter = store.options().adapter;
  if (!adapter) return result;
  Lora lora{.a = 0, .rank = adapter->rank, .scale = adapter->scale(), .parts = {}};
  int64_t begin = 0;
  for (ParamId id = first; id < first + count; ++id) {
    ParamSpec const& spec = store.specs()[id];
    if (auto const a = store.layout().find(checkpoint::lora_a_name(spec.info.name))) {
      if (lora.parts.empty()) lora.a = *a;
      lora.parts.push_back({store.id(checkpoint::lora_b_name(spec.info.name)), begin, spec.local_shape[0]});
    }
    begin += spec.local_shape[0];
  }
  if (!lora.parts.empty()) result.lora = std::move(lora);
  return result;
}

at::Tensor linear(at::Tensor const& x_TI, ParameterStore& store, Projection const& projection, Again again) {
  at::Tensor low_TR;
  return differentiable(x_TI, project(x_TI.detach(), store, projection, low_TR), [&]() -> Backward {
    bool const needs_x = projection.lora || store.trained(projection.first);
    if (!needs_x) again = [] { return at::Tensor(); };
    if (!again) again = [x = x_TI.detach()] { return x; };
    return [&store, projection, low_TR, again](at::Tensor const& dy_TO) {
      return project_backward(dy_TO, again(), low_TR, store, projection);
    };
  });
}

at::Tensor rms_norm(at::Tensor const& x_TD, ParameterStore& store, ParamId weight, Again* again) {
  trace::Span const span("norms");
  at::Tensor const x = x_TD.detach();
  kernels::NormOut out = kernels::rms_norm(x, store.weight(weight), store.config().rms_norm_eps);
  at::Tensor const scale_T = out.scale_T;
  if (again != nullptr)
    *again = [x, scale_T, weight, &store] {
      trace::Span const inner("norms");
      return kernels::rms_norm_again(x, store.weight(weight), scale_T);
    };
  return differentiable(x_TD, std::move(out.y_TD), [&]() -> Backward {
    return [x, scale_T, weight, &store](at::Tensor const& dy_TD) {
      trace::Span const inner("norms");
      return kernels::rms_norm_backward(dy_TD, x, store.weight(weight), scale_T, store.main_grad(weight));
    };
  });
}

at::Tensor swiglu_linear(at::Tensor const& x_TI, ParameterStore& store, Projection const& gate_up, Again again_x,
                         Remember remember, Again* again) {
  at::Tensor low_TR;
  auto const activate = [](at::Tensor const& gate_up_TI) {
    trace::Span const span("activation");
    return kernels::swiglu(gate_up_TI);
  };
  at::Tensor product_TI = project(x_TI.detach(), store, gate_up, low_TR);
  at::Tensor y = activate(product_TI);
  auto const x_kept = std::make_shared<Kept>(std::move(again_x));
  auto const kept = remember == Remember::keep ? std::make_shared<Kept>(std::move(product_TI))
                                               : std::make_shared<Kept>([&store, gate_up, x_kept] {
                                                   at::Tensor same_low_TR;
                                                   return project(x_kept->get(), store, gate_up, same_low_TR);
                                                 });
  *again = [kept, activate] { return activate(kept->get()); };
  return differentiable(x_TI, std::move(y), [&]() -> Backward {
    return [&store, gate_up, low_TR, kept, x_kept](at::Tensor const& dy_TI) {
      at::Tensor const slope = kept->take();
      {
        trace::Span const span("activation");
        kernels::swiglu_backward(dy_TI, slope);
      }
      bool const needs_x = gate_up.lora || store.trained(gate_up.first);
      return project_backward(slope, needs_x ? x_kept->take() : at::Tensor(), low_TR, store, gate_up);
    };
  });
}

at::Tensor gather_rows(at::Tensor const& x, ParameterStore& store) {
  if (!shares_rows(store)) return x;
  auto& ranks = store.backend().tensor();
  at::Tensor all_TD = at::empty({x.size(0) * ranks.size(), x.size(1)}, x.options());
  ranks.wait(ranks.all_gather(buffer_of(all_TD), buffer_of(x.contiguous()), comm::Lane::compute), comm::Lane::compute);
  return all_TD;
}

at::Tensor share_of_rows(at::Tensor const& x_TD, ParameterStore& store) {
  if (!shares_rows(store)) return x_TD;
  auto const& ranks = store.backend().tensor();
  int64_t const share = x_TD.size(0) / ranks.size();
  return x_TD.narrow(0, ranks.rank() * share, share).contiguous();
}

at::Tensor enter_tensor_region(at::Tensor const& x, ParameterStore& store, Again* again) {
  if (store.backend().tensor().size() == 1) return x;
  if (again != nullptr && shares_rows(store))
    *again = [&store, make = std::move(*again)] { return gather_rows(make(), store); };
  return differentiable(x, gather_rows(x.detach(), store), [&]() -> Backward {
    return [&store](at::Tensor const& dy_TD) {
      auto& ranks = store.backend().tensor();
      if (shares_rows(store)) return sum_and_scatter(ranks, dy_TD);
      sum_over(ranks, dy_TD);
      return dy_TD;
    };
  });
}

at::Tensor leave_tensor_region(at::Tensor const& x_TD, ParameterStore& store) {
  auto& ranks = store.backend().tensor();
  if (!shares_rows(store)) {
    if (ranks.size() > 1) sum_over(ranks, x_TD);
    return x_TD;
  }
  return differentiable(x_TD, sum_and_scatter(ranks, x_TD.detach()), [&]() -> Backward {
    return [&store](at::Tensor const& dy) { return gather_rows(dy, store); };
  });
}

}  // namespace refrain::model

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

}  // namespace

at::Tensor linear(at::Tensor const& x_TI, ParameterStore& store, ParamId first, int count, Again again) {
  return differentiable(x_TI, times_transposed(x_TI.detach(), store.fused_weight(first, count)), [&]() -> Backward {
    if (!again) again = [x = x_TI.detach()] { return x; };
    return [&store, first, count, again](at::Tensor const& dy_TO) {
      add_outer_product(store.fused_grad(first, count), dy_TO, again());
      return times(dy_TO, store.fused_weight(first, count));
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

at::Tensor swiglu_linear(at::Tensor const& x_TI, ParameterStore& store, ParamId first, Again again_x, Remember remember,
                         Again* again) {
  auto const make = [&store, first](at::Tensor const& x) { return times_transposed(x, store.fused_weight(first, 2)); };
  auto const activate = [](at::Tensor const& gate_up_TI) {
    trace::Span const span("activation");
    return kernels::swiglu(gate_up_TI);
  };
  at::Tensor gate_up = make(x_TI.detach());
  at::Tensor y = activate(gate_up);
  auto const x_kept = std::make_shared<Kept>(std::move(again_x));
  auto const kept = remember == Remember::keep ? std::make_shared<Kept>(std::move(gate_up))
                                               : std::make_shared<Kept>([make, x_kept] { return make(x_kept->get()); });
  *again = [kept, activate] { return activate(kept->get()); };
  return differentiable(x_TI, std::move(y), [&]() -> Backward {
    return [&store, first, kept, x_kept](at::Tensor const& dy_TI) {
      at::Tensor const slope = kept->take();
      {
        trace::Span const span("activation");
        kernels::swiglu_backward(dy_TI, slope);
      }
      add_outer_product(store.fused_grad(first, 2), slope, x_kept->take());
      return times(slope, store.fused_weight(first, 2));
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

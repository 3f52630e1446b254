#include <refrain/model/autograd.hpp>
#include <refrain/model/kernels.hpp>
#include <refrain/model/ops.hpp>
#include <refrain/model/products.hpp>

#include <ATen/ATen.h>

namespace refrain::model {
namespace {

void sum_over(comm::Collectives& ranks, at::Tensor const& x) {
  ranks.wait(ranks.all_reduce(buffer_of(x), comm::ReduceOp::sum, comm::Lane::compute), comm::Lane::compute);
}

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
  at::Tensor const x = x_TD.detach();
  kernels::NormOut out = kernels::rms_norm(x, store.weight(weight), store.config().rms_norm_eps);
  at::Tensor const scale_T = out.scale_T;
  if (again != nullptr)
    *again = [x, scale_T, weight, &store] { return kernels::rms_norm_again(x, store.weight(weight), scale_T); };
  return differentiable(x_TD, std::move(out.y_TD), [&]() -> Backward {
    return [x, scale_T, weight, &store](at::Tensor const& dy_TD) {
      return kernels::rms_norm_backward(dy_TD, x, store.weight(weight), scale_T, store.main_grad(weight));
    };
  });
}

at::Tensor swiglu(at::Tensor const& gate_up_TI, Again* again) {
  at::Tensor const gate_up = gate_up_TI.detach();
  if (again != nullptr) *again = [gate_up] { return kernels::swiglu(gate_up); };
  return differentiable(gate_up_TI, kernels::swiglu(gate_up), [&]() -> Backward {
    return [gate_up](at::Tensor const& dy_TI) {
      kernels::swiglu_backward(dy_TI, gate_up);
      return gate_up;
    };
  });
}

at::Tensor select_rows(at::Tensor const& x_TD, at::Tensor const& rows_N) {
  return differentiable(x_TD, x_TD.detach().index_select(0, rows_N), [&]() -> Backward {
    return [rows_N, rows = x_TD.size(0)](at::Tensor const& dy_ND) {
      return at::zeros({rows, dy_ND.size(1)}, dy_ND.options()).index_add_(0, rows_N, dy_ND);
    };
  });
}

at::Tensor enter_tensor_region(at::Tensor const& x_TD, Backend& backend) {
  if (backend.tensor().size() == 1) return x_TD;
  return differentiable(x_TD, x_TD.detach(), [&]() -> Backward {
    return [&backend](at::Tensor const& dy_TD) {
      sum_over(backend.tensor(), dy_TD);
      return dy_TD;
    };
  });
}

at::Tensor leave_tensor_region(at::Tensor const& x_TD, Backend& backend) {
  if (backend.tensor().size() > 1) sum_over(backend.tensor(), x_TD);
  return x_TD;
}

}  // namespace refrain::model

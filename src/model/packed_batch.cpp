#include <refrain/model/packed_batch.hpp>

#include <ATen/ATen.h>

namespace refrain::model {

PackedBatch PackedBatch::on(at::Device device) const {
  PackedBatch moved = *this;
  if (positions == 0 && positions_T.defined() && positions_T.numel() > 0)
    moved.positions = positions_T.max().item<int64_t>() + 1;
  for (auto part :
       {&PackedBatch::tokens_T, &PackedBatch::positions_T, &PackedBatch::head_rows_N, &PackedBatch::targets_N})
    if ((moved.*part).defined()) moved.*part = (moved.*part).to(device);
  moved.packed_rows = nullptr;
  return moved;
}

}  // namespace refrain::model

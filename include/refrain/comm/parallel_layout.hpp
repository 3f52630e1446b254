#pragma once

#include <refrain/comm/communicator.hpp>

namespace refrain::comm {

/// @throws UsageError unless tensor * data == ranks (data = 0: tensor divides them), naming degrees that work
void check_grid(int ranks, int tensor, int data);

/// Where this rank stands in the tensor x data grid. Tensor ranks are neighbours (one node), data ranks stride
/// over them.
class ParallelLayout {
public:
  /// data = 0 means ranks / tensor.
  /// @throws UsageError of check_grid. @collective
  ParallelLayout(Communicator world, int tensor, int data = 0);

  Communicator const& world() const noexcept { return world_; }
  Communicator const& tensor() const noexcept { return tensor_; }  ///< ranks that hold slices of the same weights
  Communicator const& data() const noexcept { return data_; }      ///< ranks that hold the same slice, for other pairs

private:
  Communicator world_, tensor_, data_;
};

}  // namespace refrain::comm

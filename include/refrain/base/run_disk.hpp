#pragma once

#include <cstdint>

namespace refrain {

/// What a training run keeps on disk, in bytes.
struct RunDisk {
  int64_t trained = 0;      ///< parameters: the model's, or its adapter's
  int64_t final_bytes = 0;  ///< of final/, which stays: what was trained, without optimizer state

  /// An adapter is written as it was trained, in fp32.
  static constexpr RunDisk of_adapter(int64_t trained) { return {trained, 4 * trained}; }

  /// One resumable checkpoint: fp32 master weights and both of Adam's moments.
  constexpr int64_t checkpoint_bytes() const { return 12 * trained; }
  /// At its highest: `keep` resumable checkpoints, the one that is being written, and final/.
  constexpr int64_t peak_bytes(int64_t keep) const { return (keep + 1) * checkpoint_bytes() + final_bytes; }
};

}  // namespace refrain

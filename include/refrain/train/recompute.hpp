#pragma once

namespace refrain::train {

/// What of a block's forward pass is computed again in backward instead of being kept: nothing; the MLP's first
/// product, its widest value; everything but the block's input.
enum class Recompute { none, selective, block };

}  // namespace refrain::train

#pragma once

#include <refrain/checkpoint/tensor_source.hpp>
#include <refrain/comm/communicator.hpp>

#include <functional>
#include <string>
#include <vector>

namespace refrain::checkpoint {

enum class VerifyWrites { first, all, off };  // whether a finished checkpoint is read back from disk

/// One rank's slice to be written: `object` is "/weights/NAME" or "/optimizer/master/NAME", .... Its bytes are asked for
/// piece by piece, in order, when their turn comes, so that a rank need not hold them all: `fill` gives the slice's
/// row-major bytes from `first_byte` on.
struct SliceToWrite {
  std::string object;
  DType dtype;
  Shape global_shape;
  Slice slice;
  std::function<void(int64_t first_byte, std::span<std::byte> out)> fill;
};

/// Everything of a checkpoint but its tensors.
struct CheckpointMeta {
  std::filesystem::path small_files_from;  ///< config.json, tokenizer and template files are copied from here
  Json training_state;                     ///< null where there is none
  Json provenance;
};

/// Writes a checkpoint folder by all ranks together, each its own files, as DESIGN 1 says: temporary folder, digests from
/// memory, fsync, read back if asked, manifest last, rename. Nothing is left under `folder` if any rank fails.
/// @collective over `world`. @throws the same Error on every rank
void write_checkpoint(comm::Communicator const& world, std::filesystem::path const& folder,
                      std::vector<SliceToWrite> const& mine, CheckpointMeta const& meta, bool read_back);

/// The resumable checkpoints of a run: `run_dir/checkpoints/step-00000123`, `latest`, pruning.
class CheckpointFolder { /* designed by its owner */ };

}  // namespace refrain::checkpoint

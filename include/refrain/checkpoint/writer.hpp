#pragma once

#include <refrain/checkpoint/tensor_source.hpp>
#include <refrain/comm/communicator.hpp>

#include <atomic>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace refrain::checkpoint {

/// One rank's slice to be written: `object` is "/weights/NAME" or "/optimizer/master/NAME", .... Its bytes are asked
/// for piece by piece, in order, when their turn comes, so that a rank need not hold them all: `fill` gives the slice's
/// row-major bytes from `first_byte` on (at most 16 MiB at once).
struct SliceToWrite {
  std::string object;
  DType dtype;
  Shape global_shape;
  Slice slice;  ///< an empty one is left out
  std::function<void(int64_t first_byte, std::span<std::byte> out)> fill;
};

/// Everything of a checkpoint but its tensors.
struct CheckpointMeta {
  std::filesystem::path small_files_from;  ///< config.json, tokenizer and template files are copied from here; or empty
  Json training_state;                     ///< null where there is none
  Json provenance;
  /// Texts that replace, or are added to, the copied small files, by name ("config.json").
  std::map<std::string, std::string> small_files = {};
};

/// One weights file to be written.
struct FilePlan {
  int file = 0;   ///< which, from 0 on
  int files = 1;  ///< of how many, on all ranks together
  std::vector<SliceToWrite> slices;
};

/// Which checkpoints of a run are read back: `first` means the first one and final/.
enum class VerifyWrites { first, all, off };

/// Whether a finished checkpoint is read back from disk (its page cache dropped) before it gets its name.
enum class ReadBack { no, yes };

/// A checkpoint folder that all ranks write together, each its own files: into `folder`.tmp, digests from memory,
/// fsync, read back if asked, manifest last, rename, fsync of the parent. The slices of all ranks must cover every
/// tensor exactly once. NaN and Inf are refused, naming the tensor. Free space is asked for first. In three parts, of
/// which the second talks to nobody, so that it may run beside other work. Nothing is left under `folder`, nor under
/// `folder`.tmp once `finish` has told of a failure; what is abandoned before leaves `folder`.tmp to the next start.
class CheckpointWrite {
public:
  /// Makes the temporary folder. @collective over `world`, which must outlive this. @throws the same Error on every
  /// rank
  CheckpointWrite(comm::Communicator const& world, std::filesystem::path const& folder, std::vector<FilePlan> mine,
                  CheckpointMeta meta, ReadBack read_back);
  /// This rank's files, after `ready` returned. Once, from any thread, while no other uses HDF5; what fails is kept for
  /// `finish`.
  void write(std::function<void()> const& ready) noexcept;
  /// Lets a `write` that goes on in another thread fail soon.
  void abandon() noexcept { abandoned_ = true; }
  /// After every rank's `write`. @collective @throws the same Error on every rank
  void finish();

private:
  void agree_or_remove(std::function<void()> const& work) const;

  comm::Communicator const& world_;
  std::filesystem::path target_, temporary_;
  std::vector<FilePlan> mine_;
  CheckpointMeta meta_;
  ReadBack read_back_;
  Json files_ = Json::array();
  std::exception_ptr failure_;
  std::atomic<bool> abandoned_ = false;
};

/// The three parts at once; weights-00001-of-00002.h5 is rank 0's.
/// @collective over `world`. @throws the same Error on every rank
void write_checkpoint(comm::Communicator const& world, std::filesystem::path const& folder,
                      std::vector<SliceToWrite> const& mine, CheckpointMeta const& meta, ReadBack read_back);

/// The same for files whose number and contents do not depend on the ranks: this rank writes `mine`, each of them one
/// weights file. @collective over `world`
void write_checkpoint_files(comm::Communicator const& world, std::filesystem::path const& folder,
                            std::vector<FilePlan> const& mine, CheckpointMeta const& meta, ReadBack read_back);

}  // namespace refrain::checkpoint

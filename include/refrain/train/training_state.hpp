#pragma once

#include <refrain/checkpoint/writer.hpp>
#include <refrain/comm/parallel_layout.hpp>
#include <refrain/train/optimizer.hpp>

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace refrain::train {

/// Where a run stands, beside its tensors. The order of the pairs follows from the step and the seed.
struct TrainingState {
  int64_t step = 0;  ///< optimizer steps done
  double epoch = 0;
  double num_tokens = 0;  ///< as TRL counts: cumulative, the prompt once for each answer
};

/// What checkpoints of one run have in common.
struct CheckpointContext {
  comm::ParallelLayout const& layout;
  std::filesystem::path small_files_from;
  Json provenance, identity;
  std::map<std::string, std::string> small_files = {};  ///< added to those copied: adapter_config.json
};

/// Writes resumable checkpoints: master weights and moments of what is trained. With `copies`, of a copy of them in
/// host memory (on GPUs pinned), made once and filled for each checkpoint, so that training may go on meanwhile.
class StateWriter {
public:
  StateWriter(Optimizer const& optimizer, CheckpointContext const& context, bool copies);
  ~StateWriter();
  StateWriter(StateWriter const&) = delete;

  /// The state as it is now. Returns when it is written or, with copies, when a thread has begun to write it: nothing
  /// else may use HDF5 then. @pre none is under way. @collective @throws the same Error on every rank
  void begin(std::filesystem::path const& folder, TrainingState const& state, checkpoint::ReadBack read_back);
  /// From `begin` to `finish`.
  bool under_way() const noexcept { return checkpoint_.has_value(); }
  /// Whether all ranks have written their files. @collective
  bool written() const;
  /// Waits for the files and gives the folder its name. @pre under_way(). @collective @throws the same Error on every
  /// rank
  void finish();

private:
  std::vector<checkpoint::SliceToWrite> copied_slices();
  void join();

  Optimizer const& optimizer_;
  CheckpointContext const& context_;
  bool copies_;
  std::map<std::pair<std::string, int>, at::Tensor> copy_;  // by prefix and unit
  std::optional<checkpoint::CheckpointWrite> checkpoint_;
  std::atomic<bool> written_ = false;
  std::thread thread_;
};

/// Writes the trained weights alone, as `dtype`. @collective @throws the same Error on every rank
void save_final(std::filesystem::path const& folder, Optimizer const& optimizer, CheckpointContext const& context,
                DType dtype, checkpoint::ReadBack read_back);

/// Where the run of a resumable checkpoint stood, without reading tensors.
/// @throws Error if it is not resumable, UsageError if it belongs to a run with another identity
TrainingState read_training_state(std::filesystem::path const& folder, Json const& identity);

/// Master weights and moments of a resumable checkpoint that any layout wrote, into the part of them that this rank's
/// `optimizer` owns: `publish` it then. @throws Error naming file and object
void load_optimizer(std::filesystem::path const& folder, Optimizer& optimizer);

}  // namespace refrain::train

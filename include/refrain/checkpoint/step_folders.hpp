#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace refrain::checkpoint {

/// The resumable checkpoints of a run: RUN_DIR/checkpoints/step-00000123, `latest`, and RUN_DIR/final. Only one rank
/// changes them (@pre rank 0, between two barriers); all may ask.
class StepFolders {
public:
  explicit StepFolders(std::filesystem::path run_dir);

  std::filesystem::path folder(int64_t step) const;  ///< where `write_checkpoint` puts that step
  std::filesystem::path final_folder() const;        ///< RUN_DIR/final
  /// Finished steps, ascending.
  std::vector<int64_t> steps() const;
  /// The newest step whose manifest, files and small files' digests are sound; folders that are not are passed over
  /// with a warning. (Digests of tensors are checked when they are read.) None if there are no step folders.
  /// @throws Error if there are some and none is sound
  std::optional<int64_t> newest_sound() const;
  /// Whether final/ is a sound checkpoint. If it is damaged and step folders are left, it is set aside as
  /// final.damaged.
  /// @throws Error if it is damaged and no step folder is left
  bool finished() const;

  /// Makes checkpoints/ and removes what a killed run left half-written (*.tmp). @throws Error
  void prepare() const;
  /// Removes step folders after `step`: a run that resumes from an older one writes them again. Those that are not
  /// sound are renamed to step-N.damaged instead, since what could not be read now may be read later. @throws Error
  void remove_after(int64_t step) const;
  /// After step N was written: `latest` points to it, then older folders go, `keep` stay; the newest sound one never
  /// goes. @throws Error
  void committed(int64_t step, int keep) const;
  /// After final/ was written and got its name: `latest` points to it and the step folders go. @throws Error
  void committed_final() const;

private:
  std::filesystem::path run_dir_;
};

/// Removes a folder: renamed to NAME.tmp first, so that no half of it keeps its name. @throws Error
void remove_folder(std::filesystem::path const& folder);

}  // namespace refrain::checkpoint

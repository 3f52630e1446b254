#pragma once

#include <refrain/study/run_folder.hpp>
#include <refrain/study/settings.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// A model that answers, is judged and stands in the report: a member of a sweep, or the model that all of them began
/// from, "before" in the paper's tables.
struct Subject {
  std::string name;  ///< STUDY/beta=B,lr=L,seed=S as the report calls it too, or "base"
  std::filesystem::path
      folder;         ///< its run folder; of the base REFRAIN_RUNS/base/NAME, NAME that of the model's folder
  int64_t index = 0;  ///< of the array of generate.sh
  int tensor_parallel = 1;
  std::string split;     ///< "dev": answers and verdicts of the dev split stand in a folder of that name; else empty
  std::string training;  ///< the line that trains it (start_line); empty for the base

  std::filesystem::path evaluation() const { return split.empty() ? folder : folder / split; }
  bool is_base() const { return training.empty(); }
  std::filesystem::path responses() const { return evaluation() / "responses.h5"; }
  /// With the final labels.
  std::filesystem::path verdicts() const { return evaluation() / "verdicts.h5"; }
  /// Of one judge.
  std::filesystem::path verdicts_of(std::string const& judge) const {
    return evaluation() / "verdicts" / (judge + ".h5");
  }
};

/// All members of the sweep of every study of REFRAIN_STUDY, study by study, and the base last: the array of
/// generate.sh in its order. The base has the first study's tensor degree.
/// @throws Error for an unknown study (or one named twice) and a table that is wrong
std::vector<Subject> list_subjects(Settings const& settings);

/// The model of the array of generate.sh at this place.
/// @throws UsageError with the right range if there is no such index
Subject const& subject_at(std::vector<Subject> const& subjects, int64_t index);

/// What refrain-generate is told to load: the base, final/, or the base with final/ as its LoRA adapter.
/// @throws Error if training has not finished, with what is to be done
Words model_options(Subject const& subject, Settings const& settings);

/// Those of `subjects` whose `wanted` file is there: responses() for judge.sh, verdicts() for report.sh. Members whose
/// training failed or never began are left out, with a warning each.
/// @throws Error if `wanted` is missing of the base or of a member that is or will be trained, with `remedy`, in which
///   INDEX stands for the subject's; and if no member is left
std::vector<Subject> complete_subjects(std::vector<Subject> const& subjects,
                                       std::filesystem::path (Subject::*wanted)() const, std::string const& remedy);

}  // namespace refrain::study

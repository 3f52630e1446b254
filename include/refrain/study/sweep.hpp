#pragma once

#include <refrain/study/words.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace refrain::study {

/// One member of a sweep: what its run differs in.
struct SweepMember {
  double beta = 0.1;
  double learning_rate = 1e-6;
  int64_t seed = 42;
  std::map<std::string, Words> more;  ///< further options of refrain-train by name, such as "lora-rank"

  /// "beta=0.1,lr=1e-6,seed=42", and for every further option ",lora-rank=8": the name of its run folder. What does not
  /// suit a file's name in a value becomes '_'.
  std::string folder() const;
  /// All of it as refrain-train is given it: --beta 0.1 --learning-rate 1e-6 --seed 42 --lora-rank 8.
  Words words() const;
};

/// The options that any of these members sets: --beta, --learning-rate, --seed, and further ones of theirs.
Words swept_options(std::vector<SweepMember> const& members);

/// Reads a sweep table. Either a list, `{"members": [{"beta": 0.1, "learning_rate": 1e-6, "seed": 42}, ...]}`, or a
/// grid, `{"grid": {"beta": [0.1, 0.3], "learning_rate": [1e-6], "lora_rank": [8, 64]}}`, whose last key varies
/// fastest. Keys are options of refrain-train, but for those that the study sets itself; beta, learning rate and seed
/// take the paper's setting and seed 42 where they are left out.
/// @throws Error for other keys, values of another kind, and members that would share a folder
std::vector<SweepMember> read_sweep(std::filesystem::path const& path);

/// The file behind REFRAIN_SWEEP (or, for messages, another `source`): a path, or the name of a table in slurm/sweeps
/// ("default" is default.json there).
/// @throws UsageError that lists the tables there are
std::filesystem::path find_sweep(std::string const& name, std::string const& source = "REFRAIN_SWEEP");

}  // namespace refrain::study

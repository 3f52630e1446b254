#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::study {

/// One member of a sweep: what its run differs in.
struct SweepMember {
  double beta = 0.1;
  double learning_rate = 1e-6;
  int64_t seed = 42;

  /// "beta=0.1,lr=1e-6,seed=42": the name of its run folder.
  std::string folder() const;
};

/// Reads a sweep table. Either a list, `{"members": [{"beta": 0.1, "learning_rate": 1e-6, "seed": 42}, ...]}`, or a
/// grid, `{"grid": {"beta": [0.1, 0.3], "learning_rate": [1e-6], "seed": [42]}}`, whose last key varies fastest.
/// Keys that are left out take the paper's setting and seed 42.
/// @throws Error for other keys, numbers out of range and members that occur twice
std::vector<SweepMember> read_sweep(std::filesystem::path const& path);

/// The file behind REFRAIN_SWEEP: a path, or the name of a table in `folder` ("default" is default.json there).
/// @throws Error that lists the tables there are
std::filesystem::path find_sweep(std::string const& name, std::filesystem::path const& folder);

/// A number as short as it can be without loss, in the field's spelling: 0.1, 1e-6, 64.
std::string format_number(double value);

}  // namespace refrain::study

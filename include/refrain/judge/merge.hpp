#pragma once

#include <refrain/h5/verdicts_file.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace refrain::judge {

/// One file's verdicts.
struct VerdictsOf {
  std::filesystem::path path;
  std::string responses;  ///< SHA-256 of the responses judged; empty where nobody knows
  h5::Verdicts rows;
};

/// Verdicts of the same responses as one: the rows of all, the judges of all together. A judge may come several times
/// where it says the same of every row. What was decided before is left out: other judges may decide otherwise.
/// @throws Error for no files; for files of other responses, other rows or another order; for a judge that does not say
/// the same. The first difference is named
h5::Verdicts merge(std::vector<VerdictsOf> const& files);

}  // namespace refrain::judge

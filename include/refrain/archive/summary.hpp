#pragma once

#include <refrain/base/json_file.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace refrain::archive {

/// What tells one run from another, of what stands in its folder:
///
///     {"settings": {...},   what decides the result (run.json's identity), layout, how answers were drawn and judged
///      "inputs": {...},     digests of pairs, model, prompts
///      "versions": {...},   of the program and its libraries
///      "results": {...}}    state, steps, the last row's loss and accuracies, evaluations, ASR by language
///
/// What is not there is left out. @throws Error for damaged files
Json summarise(std::filesystem::path const& run);

/// A value that two runs do not share, or a group of values that one of them lacks as a whole; empty where one has
/// none.
struct Difference {
  std::string of;             ///< settings, inputs, versions, results
  std::string key;            ///< "layout.tensor_parallel"
  std::string first, second;  ///< of a group "140 values"
};

/// In the order of the summaries.
std::vector<Difference> compare(Json const& first, Json const& second);

}  // namespace refrain::archive

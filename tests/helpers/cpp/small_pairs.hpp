#pragma once

#include <refrain/h5/pairs_file.hpp>

#include <array>
#include <vector>

namespace refrain::train::testing {

/// Pairs of prompts, chosen and rejected answers of these lengths, with tokens below `vocabulary`.
inline h5::Pairs pairs_of(std::vector<std::array<int32_t, 3>> const& lengths, int32_t vocabulary) {
  struct Part {
    std::vector<int64_t>& begin;
    std::vector<int32_t>& length;
  };
  h5::Pairs pairs;
  std::array const parts{Part{pairs.prompt_begin, pairs.prompt_length}, Part{pairs.chosen_begin, pairs.chosen_length},
                         Part{pairs.rejected_begin, pairs.rejected_length}};
  for (auto const& pair : lengths) {
    for (std::size_t part = 0; part < 3; ++part) {
      parts[part].begin.push_back(static_cast<int64_t>(pairs.tokens.size()));
      parts[part].length.push_back(pair[part]);
      for (int32_t i = 0; i < pair[part]; ++i)
        pairs.tokens.push_back(static_cast<int32_t>(pairs.tokens.size() * 7 + part) % vocabulary);
    }
    pairs.row_id.push_back(static_cast<int64_t>(pairs.row_id.size()));
  }
  return pairs;
}

}  // namespace refrain::train::testing

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::h5 {

/// Where parts of rows stand in a pool of tokens: two columns of a file.
struct TokenRanges {
  std::string begin_name, length_name;  ///< for messages: "/pair/prompt_begin"
  std::vector<int64_t> const& begin;
  std::vector<int32_t> const& length;
};

/// @throws Error naming row and column unless every range lies within `token_count` and holds `least` tokens or more
void check_ranges(TokenRanges const& ranges, int64_t token_count, int32_t least, std::filesystem::path const& path);

/// @throws Error naming the place of an id below 0
void check_token_ids(std::vector<int32_t> const& tokens, std::filesystem::path const& path);

}  // namespace refrain::h5

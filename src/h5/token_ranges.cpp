#include <refrain/h5/token_ranges.hpp>

#include <refrain/base/error.hpp>

#include <algorithm>

namespace refrain::h5 {
namespace {

constexpr char const* remedy = "the file is damaged or not ours: make it again with refrain-shard";

}  // namespace

void check_ranges(TokenRanges const& ranges, int64_t token_count, int32_t least, std::filesystem::path const& path) {
  for (std::size_t row = 0; row < ranges.begin.size(); ++row) {
    int64_t const begin = ranges.begin[row], length = ranges.length[row];
    if (length < least)
      throw Error("row " + std::to_string(row) + " has a length of " + std::to_string(length) + ", the least is " +
                      std::to_string(least),
                  remedy, {.file = path, .object = ranges.length_name});
    // Compared by subtraction: begin + length may overflow in a hostile file.
    if (begin < 0 || begin > token_count || length > token_count - begin)
      throw Error("row " + std::to_string(row) + " begins at " + std::to_string(begin) + " and has " +
                      std::to_string(length) + " tokens, the file has " + std::to_string(token_count),
                  remedy, {.file = path, .object = ranges.begin_name});
  }
}

void check_token_ids(std::vector<int32_t> const& tokens, std::filesystem::path const& path) {
  auto const negative = std::find_if(tokens.begin(), tokens.end(), [](int32_t id) { return id < 0; });
  if (negative != tokens.end())
    throw Error("token " + std::to_string(negative - tokens.begin()) + " is " + std::to_string(*negative), remedy,
                {.file = path, .object = "/tokens"});
}

}  // namespace refrain::h5

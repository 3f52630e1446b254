#pragma once

#include <refrain/shard/tokenization.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace refrain::shard {

/// A row that was read: its labels, and its tokens if its language takes part and it was not dropped.
struct ShardRow {
  RowLabels labels;
  bool wanted = false;  ///< its language takes part
  TokenPair tokens;     ///< a prompt's ids are in `tokens.ids.prompt`
  std::string text;     ///< of a prompt: the last user turn
  std::string turns;    ///< of a prompt: PromptContent::turns
};

/// Bytes of `row` for a message between ranks, appended to `bytes`.
void pack_row(ShardRow const& row, std::string& bytes);
/// What `pack_row` made of several rows, appended to `rows`. @pre all of its bytes, on a machine of the same kind
void unpack_rows(std::string_view bytes, std::vector<ShardRow>& rows);

}  // namespace refrain::shard

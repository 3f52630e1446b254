#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/h5/row_writer.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::h5 {

/// How an answer ended: `/response/finish`.
enum class Finish : int8_t { stop = 0, length = 1, error = 2 };

/// responses.v1 in memory, or a piece of it: generated token ids and, per answer, where it stands in `tokens`, of which
/// prompt it is, and what it says. Every column but `tokens` has an element an answer.
struct Responses {
  std::vector<int32_t> tokens;         ///< empty where a server gave text only; begin and length are 0 then
  std::vector<int64_t> begin, row_id;  ///< begin: place in `tokens`
  std::vector<int32_t> length;         ///< in tokens
  std::vector<int32_t> sample;         ///< which answer to the prompt, from 0
  std::vector<int8_t> finish;          ///< a Finish
  std::vector<std::string> id, language, category, style;
  std::vector<std::string> prompt;              ///< the last user turn as given
  std::vector<std::string> text;                ///< decoded without special tokens
  std::vector<std::string> prompt_digest = {};  ///< what the prompt was; no elements where the file does not say

  int64_t size() const noexcept { return static_cast<int64_t>(row_id.size()); }
};

/// Checks the schema, that every answer lies within `tokens`, and that no id or sample is negative. @throws Error
Responses read_responses(std::filesystem::path const& path);

/// Whether a file has `/tokens`.
enum class TokenIds { kept, none };

/// responses.v1 written in pieces, whose rows need not be in memory together.
class ResponsesWriter {
public:
  /// @throws Error if the file cannot be created
  ResponsesWriter(std::filesystem::path path, Json const& provenance, TokenIds tokens = TokenIds::kept);
  /// Adds rows behind those before. `begin` counts within the piece. Either all pieces have digests or none does.
  /// @throws Error
  void append(Responses const& rows);
  /// Checks, syncs, renames. @throws Error; nothing is left then
  void finish();

private:
  RowWriter file_;
  TokenIds kept_;
  int64_t token_count_ = 0;
};

}  // namespace refrain::h5

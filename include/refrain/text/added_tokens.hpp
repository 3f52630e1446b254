#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/text/byte_map.hpp>

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace refrain::text {

/// A token that is found in the text before the model sees it; the fields are those of tokenizer.json's `added_tokens`.
struct AddedToken {
  int32_t id = -1;  ///< -1 until the tokenizer gives one
  std::string content;
  bool single_word = false;  ///< only where no word character stands beside it
  bool lstrip = false;       ///< takes the white space before it too
  bool rstrip = false;       ///< and behind it
  bool normalized = true;    ///< looked for in the normalised text, written as the normaliser writes it
  bool special = false;      ///< left out by decode(skip_special)

  /// `value` is an object of that form; its id is not read. @throws Error naming file and key
  static AddedToken from_json(Json const& value, std::filesystem::path const& path);
};

/// Finds the longest of some strings at the leftmost place, over and over, as `tokenizers` does with its added tokens.
class TokenFinder {
public:
  /// `token` is looked for as `pattern`. Of equal patterns the last counts. An empty one is ignored. What is
  /// `passed_over` stays text, but no other token is found inside it.
  void add(std::string const& pattern, AddedToken const& token, bool passed_over);

  /// A part of a text.
  struct Piece {
    std::string_view text;
    int32_t id;  ///< -1: text between tokens
  };
  /// Cuts `text` into tokens and the text between them, which is never empty. @pre well-formed UTF-8
  template <class Sink>
  void cut(std::string_view text, Sink&& sink) const {
    std::size_t behind = 0;
    for (std::size_t at = 0; at < text.size();) {
      Match const match = find(text, at);
      if (!match.entry) break;
      at = match.end;
      std::size_t begin = match.begin, end = match.end;
      if (match.entry->passed_over || !stretch(text, match.entry->token, behind, begin, end)) continue;
      if (behind < begin) sink(Piece{text.substr(behind, begin - behind), -1});
      sink(Piece{text.substr(begin, end - begin), match.entry->token.id});
      behind = end;
    }
    if (behind < text.size()) sink(Piece{text.substr(behind), -1});
  }
  bool empty() const noexcept { return entries_.empty(); }

private:
  struct Entry {
    AddedToken token;
    bool passed_over;
  };
  struct Match {
    Entry const* entry = nullptr;
    std::size_t begin = 0, end = 0;
  };
  Match find(std::string_view text, std::size_t from) const noexcept;
  /// Applies single_word (false: no match), lstrip and rstrip.
  static bool stretch(std::string_view text, AddedToken const& token, std::size_t behind, std::size_t& begin,
                      std::size_t& end);

  std::vector<Entry> entries_;
  ByteMap<uint32_t> by_pattern_;                       // places in entries_
  std::array<std::vector<uint32_t>, 256> lengths_of_;  // of the patterns that begin with a byte, longest first
};

}  // namespace refrain::text

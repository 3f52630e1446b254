#pragma once

#include <refrain/text/tokenizer.hpp>

#include <span>
#include <string>
#include <vector>

namespace refrain::generate {

/// Texts that end an answer. An answer ends before the first of them.
class StopTexts {
public:
  /// `tokenizer` must outlive it.
  StopTexts(text::Tokenizer const& tokenizer, std::vector<std::string> texts);

  /// Whether one stands in what the last tokens say.
  bool found_at_end(std::span<int32_t const> answer) const;
  /// `text` up to the first of them.
  std::string before(std::string text) const;

private:
  text::Tokenizer const& tokenizer_;
  std::vector<std::string> texts_;
  std::size_t longest_ = 0;  // in bytes
};

}  // namespace refrain::generate

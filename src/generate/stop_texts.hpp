#pragma once

#include <refrain/text/tokenizer.hpp>

#include <span>
#include <string>
#include <vector>

namespace refrain::generate {

/// `text` up to the first of `stops` in it.
std::string before_stop(std::string text, std::vector<std::string> const& stops);

/// Texts that end an answer, looked for while its tokens come.
class StopTexts {
public:
  /// `tokenizer` must outlive it.
  StopTexts(text::Tokenizer const& tokenizer, std::vector<std::string> texts);

  /// Whether one stands in what the last tokens say.
  bool found_at_end(std::span<int32_t const> answer) const;

private:
  text::Tokenizer const& tokenizer_;
  std::vector<std::string> texts_;
  std::size_t longest_ = 0;  // in bytes
};

}  // namespace refrain::generate

#include "stop_texts.hpp"

#include <algorithm>

namespace refrain::generate {

std::string before_stop(std::string text, std::vector<std::string> const& stops) {
  std::size_t end = text.size();
  for (auto const& stop : stops) end = std::min(end, text.find(stop));
  text.resize(end);
  return text;
}

StopTexts::StopTexts(text::Tokenizer const& tokenizer, std::vector<std::string> texts)
    : tokenizer_(tokenizer), texts_(std::move(texts)) {
  for (auto const& text : texts_) longest_ = std::max(longest_, text.size());
}

bool StopTexts::found_at_end(std::span<int32_t const> answer) const {
  if (texts_.empty()) return false;
  // A token stands for a byte at least, or for nothing (special ones): some more than the text could have.
  std::size_t const looked_at = std::min(answer.size(), 2 * longest_ + 8);
  auto const tail = answer.last(looked_at);
  std::string const said = tokenizer_.decode({tail.begin(), tail.end()}, true);
  return std::any_of(texts_.begin(), texts_.end(),
                     [&](std::string const& text) { return said.find(text) != std::string::npos; });
}

}  // namespace refrain::generate

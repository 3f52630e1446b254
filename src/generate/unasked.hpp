#pragma once

#include "asked.hpp"

#include <cstdint>
#include <filesystem>
#include <string>

namespace refrain::generate {

/// Answers that are there and not asked for any more. They are never dropped silently.
class Unasked {
public:
  explicit Unasked(Asked const& asked) : asked_(asked) {}

  void add(AnswerKey const& key);
  /// @throws UsageError that counts them and names the first, telling prompts that have changed from what is not asked
  /// for at all
  void require_none(std::filesystem::path const& where) const;

private:
  struct Count {
    int64_t answers = 0;
    std::string first;
    void add(AnswerKey const& key);
  };

  Asked const& asked_;
  Count changed_, gone_;
};

}  // namespace refrain::generate

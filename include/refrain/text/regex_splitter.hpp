#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace refrain::text {

/// A regular expression as tokenizer.json gives it (Oniguruma's Ruby syntax, which `tokenizers` uses), run by PCRE2
/// over UTF-8. What means something else in PCRE2 is translated (\s) or refused by name.
class RegexSplitter {
public:
  /// @throws Error naming `file` and the part of the pattern that is not understood
  RegexSplitter(std::string const& pattern, std::filesystem::path const& file);

  /// Memory for matching, kept from call to call.
  class Scratch {
  public:
    Scratch();
    Scratch(Scratch&&) noexcept;
    ~Scratch();

  private:
    friend class RegexSplitter;
    struct Memory;
    std::unique_ptr<Memory> memory_;
  };

  /// Finds the next match in `text` from `from` on. @returns false where there is none; an empty match is possible.
  /// @pre well-formed UTF-8. @throws Error where the match needs more memory than is allowed
  bool find(std::string_view text, std::size_t from, Scratch& scratch, std::size_t& begin, std::size_t& end) const;

private:
  struct Code;
  std::shared_ptr<Code const> code_;
};

/// `pattern` in PCRE2's syntax. @throws Error as RegexSplitter
std::string oniguruma_to_pcre2(std::string const& pattern, std::filesystem::path const& file);

}  // namespace refrain::text

#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace refrain::judge {

/// fastText's language identification (Joulin et al. 2016, arXiv 1607.01759): lid.176.ftz, lid.176.bin, or any other
/// supervised fastText model whose labels are languages. docs/verdicts.md says what it is known to confuse.
class LanguageIdentifier {
public:
  /// Loads a model of the file formats 11 and 12. What the file says of its own sizes is checked before fastText
  /// believes it.
  /// @throws Error for a file that is none, is cut off or damaged, has no labels, or labels that are no languages
  explicit LanguageIdentifier(std::filesystem::path const& path);
  ~LanguageIdentifier();
  LanguageIdentifier(LanguageIdentifier&&) noexcept;
  LanguageIdentifier& operator=(LanguageIdentifier&&) noexcept;

  struct Guess {
    /// As the label has it, without `__label__`. A code of three letters for one of our languages, with or without its
    /// script, is ours: "deu" and "deu_Latn" are "de".
    std::string language;
    double probability;  ///< of this language among all of the model's, from 0 to 1
  };

  /// The likeliest language of all of the text; nothing where it has no letters (Unicode's general category L). Line
  /// breaks are spaces, as fastText's users put them; a word `</s>`, which fastText would take for the end, is left
  /// out; what is not UTF-8 is read as U+FFFD. Several threads may call it at once. Linear in the text's length.
  /// @throws Error where the model's numbers are not finite
  std::optional<Guess> identify(std::string const& text) const;

private:
  struct Loaded;
  std::unique_ptr<Loaded> loaded_;
};

}  // namespace refrain::judge

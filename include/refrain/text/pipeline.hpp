#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/text/regex_splitter.hpp>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace refrain::text {

/// tokenizer.json's `normalizer`: Prepend, Replace, NFC or a Sequence of them, or none.
class Normalizer {
public:
  /// @throws Error naming a type that is not understood
  Normalizer(Json const& value, std::filesystem::path const& path);
  bool empty() const noexcept { return steps_.empty(); }
  /// `text` as the model's vocabulary writes it; an empty text stays empty.
  std::string apply(std::string_view text) const;

private:
  struct Prepend {
    std::string text;
  };
  struct Replace {
    std::string from, to;
  };
  struct Nfc {};
  void add(Json const& value, std::filesystem::path const& path);
  std::vector<std::variant<Prepend, Replace, Nfc>> steps_;
};

/// tokenizer.json's `pre_tokenizer`: Split, ByteLevel, Metaspace or a Sequence of them.
class PreTokenizer {
public:
  /// Takes a piece, which lives until it returns.
  using Sink = std::function<void(std::string_view piece)>;

  /// @throws Error naming a type that is not understood
  PreTokenizer(Json const& value, std::filesystem::path const& path);

  /// Whether the model's vocabulary writes bytes in the byte-level alphabet.
  bool byte_level() const noexcept { return byte_level_; }
  /// Cuts `text` into the pieces that the model encodes one by one. `at_start`: the text given to encode begins with
  /// it.
  void cut(std::string_view text, bool at_start, RegexSplitter::Scratch& scratch, Sink const& sink) const;

private:
  enum class Behavior { isolated, removed };
  enum class PrependScheme { always, first, never };
  struct Split {
    std::optional<RegexSplitter> regex;
    std::string literal;  ///< where there is no regex
    Behavior behavior;
    bool invert;
  };
  struct PrefixSpace {};  ///< ByteLevel's add_prefix_space
  struct Metaspace {
    std::string mark;
    PrependScheme prepend;
    bool split;
  };
  using Step = std::variant<Split, PrefixSpace, Metaspace>;

  void add(Json const& value, std::filesystem::path const& path);
  void add_split(Json const& value, std::filesystem::path const& path);
  void add_metaspace(Json const& value, std::filesystem::path const& path);
  void run(std::size_t step, std::string_view text, bool at_start, RegexSplitter::Scratch& scratch,
           Sink const& sink) const;
  static bool find(Split const& split, std::string_view text, std::size_t from, RegexSplitter::Scratch& scratch,
                   std::size_t& begin, std::size_t& end);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

/// tokenizer.json's `decoder`: ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace or a Sequence of them.
class Decoder {
public:
  /// @throws Error naming a type that is not understood
  Decoder(Json const& value, std::filesystem::path const& path);
  /// The text of `tokens`, each as the vocabulary writes it; invalid bytes as U+FFFD.
  std::string apply(std::vector<std::string> tokens) const;

private:
  using Step = std::function<void(std::vector<std::string>& tokens)>;
  void add(Json const& value, std::filesystem::path const& path);
  std::vector<Step> steps_;
  bool absent_ = false;
};

/// `text` with every `from` written as `to`.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

}  // namespace refrain::text

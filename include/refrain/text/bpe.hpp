#pragma once

#include <refrain/text/byte_map.hpp>
#include <refrain/text/tokenizer_file.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace refrain::text {

/// How a model's strings stand for bytes.
enum class Alphabet {
  text,        ///< a vocabulary of text
  byte_level,  ///< GPT-2's: each byte is written as one printable character
};

/// A byte-pair-encoding model: turns a piece of text into token ids by merging neighbours, lowest rank first and
/// leftmost first among equals. Immutable; the memory that encoding needs stands in a Workspace.
class Bpe {
public:
  /// Known words and buffers, kept from call to call. A cache of what one model gave, so it belongs to that model.
  class Workspace {
  public:
    /// Forgets all words once they are many, so that memory stays bounded (a few MiB).
    void shrink();

  private:
    friend class Bpe;
    struct Known {
      uint32_t begin = 0, count = 0;
    };
    struct Symbol {
      int32_t id, previous, next;
    };
    struct Candidate {
      uint32_t rank;
      int32_t position, id;
    };
    ByteMap<Known> words_{1 << 12};
    std::vector<int32_t> word_ids_;
    std::vector<int32_t> ids_;
    std::vector<uint64_t> pairs_;
    std::vector<Candidate> heap_;
    std::vector<Symbol> symbols_;
  };

  /// @throws Error naming the part of tokenizer.json that is not understood or contradicts itself
  Bpe(TokenizerFile const& file, Alphabet alphabet);

  /// Appends the ids of `piece`. With Alphabet::byte_level any bytes, else UTF-8.
  void encode(std::string_view piece, Workspace& workspace, std::vector<int32_t>& out) const;

  /// @returns the id of a token as it stands in tokenizer.json, or -1
  int32_t find(std::string_view token) const noexcept;
  /// The token as it stands in tokenizer.json, "" for an id that has none.
  std::string_view token(int32_t id) const noexcept;
  /// Whether a token has this id.
  bool has(int32_t id) const noexcept { return id >= 0 && static_cast<std::size_t>(id) < known_.size() && known_[id]; }
  int64_t size() const noexcept { return size_; }                                  ///< tokens in the vocabulary
  int64_t end_id() const noexcept { return static_cast<int64_t>(known_.size()); }  ///< highest id + 1

private:
  struct Merge {
    uint32_t rank;
    int32_t id;
  };

  void read_vocabulary(TokenizerFile const& file);
  void read_merges(TokenizerFile const& file);
  void encode_word(std::string_view word, Workspace& workspace, std::vector<int32_t>& out) const;
  void start_symbols(std::string_view word, std::vector<int32_t>& ids) const;
  void merge_short(std::vector<int32_t>& ids, Workspace& workspace) const;
  void merge_long(std::vector<int32_t>& ids, Workspace& workspace) const;
  /// Where the merge of a pair stands, or the empty place where it belongs.
  std::size_t place_of(uint64_t pair) const noexcept;
  Merge find_merge(int32_t left, int32_t right) const noexcept;

  Alphabet alphabet_;
  bool ignore_merges_ = false, byte_fallback_ = false, fuse_unk_ = false;
  bool words_stand_alone_ = false;  ///< no merge reaches over the start of a word: words can be encoded one by one
  int32_t unk_id_ = -1;
  int64_t size_ = 0;
  ByteMap<int32_t> ids_;           ///< tokens as in the file
  ByteMap<int32_t> ids_of_bytes_;  ///< byte_level: tokens as the bytes that they stand for
  std::string pool_;
  std::vector<std::pair<uint32_t, uint32_t>> tokens_;  ///< begin and length in pool_
  std::vector<char> known_;
  std::array<int32_t, 256> byte_ids_{};  ///< byte_level: of a byte; else of an ASCII character
  std::array<int32_t, 256> fallback_ids_{};
  std::vector<uint64_t> merge_keys_;  ///< open addressing, a power of two
  std::vector<Merge> merges_;
};

/// "▁", which stands for a space in SentencePiece-type vocabularies.
inline constexpr std::string_view word_mark = "\xE2\x96\x81";

/// The character that byte-level vocabularies write for `byte` (GPT-2's bytes_to_unicode).
char32_t byte_level_character(unsigned char byte) noexcept;
/// `token` of a byte-level vocabulary as bytes; false where it holds a character that stands for none.
bool byte_level_bytes(std::string_view token, std::string& bytes);

}  // namespace refrain::text

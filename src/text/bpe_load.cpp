#include <refrain/base/error.hpp>
#include <refrain/text/bpe.hpp>
#include <refrain/text/unicode.hpp>

#include <algorithm>
#include <cstdio>

namespace refrain::text {
namespace {

/// Characters of the byte-level alphabet: printable Latin-1 stands for itself, the other bytes for U+0100 and up.
struct ByteLevelAlphabet {
  char32_t character[256];
  int16_t byte[0x144];

  ByteLevelAlphabet() {
    std::fill(std::begin(byte), std::end(byte), int16_t{-1});
    char32_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      bool const printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      character[b] = printable ? static_cast<char32_t>(b) : next++;
      byte[character[b]] = static_cast<int16_t>(b);
    }
  }
};

ByteLevelAlphabet const& byte_level() {
  static ByteLevelAlphabet const alphabet;
  return alphabet;
}

}  // namespace

char32_t byte_level_character(unsigned char byte) noexcept { return byte_level().character[byte]; }

bool byte_level_bytes(std::string_view token, std::string& bytes) {
  bytes.clear();
  for (std::size_t at = 0; at < token.size();) {
    char32_t const character = next_code_point(token, at);
    if (character >= std::size(byte_level().byte) || byte_level().byte[character] < 0) return false;
    bytes += static_cast<char>(byte_level().byte[character]);
  }
  return true;
}

Bpe::Bpe(TokenizerFile const& file, Alphabet alphabet) : alphabet_(alphabet), ids_(file.vocab.size()) {
  Json const& model = file.rest.at("model");
  auto const& path = file.path;
  if (std::string const type = json_get_or<std::string>(model, "type", "BPE", path); type != "BPE")
    refuse_component(path, "model", type);
  if (json_get_or<double>(model, "dropout", 0, path) != 0) refuse_component(path, "model BPE", "dropout");
  for (char const* affix : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!json_get_or<std::string>(model, affix, "", path).empty()) refuse_component(path, "model BPE", affix);
  ignore_merges_ = json_get_or<bool>(model, "ignore_merges", false, path);
  byte_fallback_ = json_get_or<bool>(model, "byte_fallback", false, path);
  fuse_unk_ = json_get_or<bool>(model, "fuse_unk", false, path);
  if (byte_fallback_ && alphabet == Alphabet::byte_level)
    refuse_component(path, "model BPE", "byte_fallback with ByteLevel");
  read_vocabulary(file);
  if (std::string const unk = json_get_or<std::string>(model, "unk_token", "", path); !unk.empty()) {
    unk_id_ = find(unk);
    if (unk_id_ < 0)
      throw Error("unk_token '" + unk + "' is not in the vocabulary", "correct the file",
                  {.file = path, .object = "model"});
    if (alphabet == Alphabet::byte_level && std::count(byte_ids_.begin(), byte_ids_.end(), -1) > 0)
      refuse_component(path, "model BPE", "unk_token with a ByteLevel vocabulary that lacks bytes");
  }
  read_merges(file);
}

void Bpe::read_vocabulary(TokenizerFile const& file) {
  constexpr int32_t highest_id = 1 << 24;  // a guard against sizes that only a damaged file has
  int32_t highest = -1;
  std::size_t bytes = 0;
  for (auto const& [token, id] : file.vocab) {
    if (id > highest_id)
      throw Error("token id " + std::to_string(id) + " is beyond any vocabulary", "correct the file",
                  {.file = file.path, .object = "model.vocab"});
    highest = std::max(highest, id);
    bytes += token.size();
  }
  known_.assign(highest + 1, 0);
  tokens_.resize(highest + 1);
  pool_.reserve(bytes);
  if (alphabet_ == Alphabet::byte_level) ids_of_bytes_ = ByteMap<int32_t>(file.vocab.size());
  std::string as_bytes;
  for (auto const& [token, id] : file.vocab) {
    ids_.set(token, id);
    tokens_[id] = {static_cast<uint32_t>(pool_.size()), static_cast<uint32_t>(token.size())};
    pool_ += token;
    known_[id] = 1;
    if (alphabet_ == Alphabet::byte_level && byte_level_bytes(token, as_bytes)) ids_of_bytes_.set(as_bytes, id);
  }
  size_ = static_cast<int64_t>(ids_.size());
  for (int byte = 0; byte < 256; ++byte) {
    char const character = static_cast<char>(byte);
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    fallback_ids_[byte] = find(name);
    if (alphabet_ == Alphabet::byte_level) {
      int32_t const* id = ids_of_bytes_.find(std::string_view(&character, 1));
      byte_ids_[byte] = id ? *id : -1;
    } else {
      byte_ids_[byte] = byte < 0x80 ? find(std::string_view(&character, 1)) : -1;
    }
  }
}

void Bpe::read_merges(TokenizerFile const& file) {
  std::size_t capacity = 16;
  while (capacity < 2 * file.merges.size()) capacity *= 2;
  merge_keys_.assign(capacity, UINT64_MAX);
  merges_.resize(capacity);
  words_stand_alone_ = alphabet_ == Alphabet::text && !ignore_merges_ && find(word_mark) >= 0;
  std::string merged;
  uint32_t rank = 0;
  for (auto const& [left, right] : file.merges) {
    merged.assign(left).append(right);
    int32_t const ids[3] = {find(left), find(right), find(merged)};
    for (int part = 0; part < 3; ++part) {
      if (ids[part] >= 0) continue;
      std::string const& lacking = part == 0 ? left : part == 1 ? right : merged;
      throw Error("merge " + std::to_string(rank) + " needs the token '" + lacking + "', which the vocabulary lacks",
                  "correct the file", {.file = file.path, .object = "model.merges"});
    }
    uint64_t const key = static_cast<uint64_t>(ids[0]) << 32 | static_cast<uint32_t>(ids[1]);
    std::size_t const place = place_of(key);
    merge_keys_[place] = key;
    merges_[place] = {rank++, ids[2]};
    if (right.starts_with(word_mark) && !left.ends_with(word_mark)) words_stand_alone_ = false;
  }
}

}  // namespace refrain::text

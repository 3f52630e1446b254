#include <refrain/base/error.hpp>
#include <refrain/text/bpe.hpp>
#include <refrain/text/unicode.hpp>

#include <algorithm>

namespace refrain::text {
namespace {

constexpr uint64_t no_pair = UINT64_MAX;
constexpr std::size_t short_word = 48;              // symbols up to which a scan for the best pair beats a heap
constexpr std::size_t most_cached_bytes = 256;      // longer words are not remembered
constexpr std::size_t most_cached_words = 1 << 15;  // with ids and keys about 3 MiB

uint64_t pair_key(int32_t left, int32_t right) noexcept {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

std::size_t mixed(uint64_t key) noexcept {
  key *= 0x9E3779B97F4A7C15u;
  return key ^ key >> 29;
}

bool ends_with_word_mark(std::string_view text) { return text.ends_with(word_mark); }

}  // namespace

void Bpe::Workspace::shrink() {
  if (words_.size() < most_cached_words) return;
  words_.clear();
  word_ids_.clear();
}

int32_t Bpe::find(std::string_view token) const noexcept {
  int32_t const* id = ids_.find(token);
  return id ? *id : -1;
}

std::string_view Bpe::token(int32_t id) const noexcept {
  return has(id) ? std::string_view(pool_).substr(tokens_[id].first, tokens_[id].second) : std::string_view();
}

std::size_t Bpe::place_of(uint64_t pair) const noexcept {
  std::size_t const mask = merge_keys_.size() - 1;
  std::size_t at = mixed(pair) & mask;
  while (merge_keys_[at] != pair && merge_keys_[at] != no_pair) at = (at + 1) & mask;
  return at;
}

Bpe::Merge Bpe::find_merge(int32_t left, int32_t right) const noexcept {
  std::size_t const at = place_of(pair_key(left, right));
  return merge_keys_[at] == no_pair ? Merge{UINT32_MAX, -1} : merges_[at];
}

void Bpe::encode(std::string_view piece, Workspace& workspace, std::vector<int32_t>& out) const {
  if (!words_stand_alone_) return encode_word(piece, workspace, out);
  std::size_t begin = 0;
  for (std::size_t at = piece.find(word_mark, 1); at != piece.npos; at = piece.find(word_mark, at + word_mark.size())) {
    if (ends_with_word_mark(piece.substr(0, at))) continue;
    encode_word(piece.substr(begin, at - begin), workspace, out);
    begin = at;
  }
  encode_word(piece.substr(begin), workspace, out);
}

void Bpe::encode_word(std::string_view word, Workspace& workspace, std::vector<int32_t>& out) const {
  if (word.empty()) return;
  bool const cached = word.size() <= most_cached_bytes;
  uint64_t const hash = ByteMap<int32_t>::hash(word);
  if (cached) {
    if (auto const* known = workspace.words_.find(word, hash)) {
      int32_t const* ids = workspace.word_ids_.data() + known->begin;
      out.insert(out.end(), ids, ids + known->count);
      return;
    }
  }
  std::vector<int32_t>& ids = workspace.ids_;
  ids.clear();
  int32_t const* whole = nullptr;
  if (ignore_merges_) whole = (alphabet_ == Alphabet::byte_level ? ids_of_bytes_ : ids_).find(word, hash);
  if (whole) {
    ids.push_back(*whole);
  } else {
    start_symbols(word, ids);
    if (ids.size() <= short_word)
      merge_short(ids, workspace);
    else
      merge_long(ids, workspace);
  }
  if (cached) {
    workspace.shrink();
    auto& all = workspace.word_ids_;
    workspace.words_.set(word, hash, {static_cast<uint32_t>(all.size()), static_cast<uint32_t>(ids.size())});
    all.insert(all.end(), ids.begin(), ids.end());
  }
  out.insert(out.end(), ids.begin(), ids.end());
}

void Bpe::start_symbols(std::string_view word, std::vector<int32_t>& ids) const {
  if (alphabet_ == Alphabet::byte_level) {
    for (char const byte : word)
      if (int32_t const id = byte_ids_[static_cast<unsigned char>(byte)]; id >= 0) ids.push_back(id);
    return;
  }
  // As in `tokenizers`: an unknown character waits for the next known one before its id is added, and one that the
  // bytes stand for is added at once, even before an unknown one that waits.
  bool unknown_waits = false;
  for (std::size_t at = 0; at < word.size();) {
    std::size_t const begin = at;
    auto const lead = static_cast<unsigned char>(word[at]);
    int32_t id;
    if (lead < 0x80) {
      id = byte_ids_[lead];
      ++at;
    } else {
      next_code_point(word, at);
      id = find(word.substr(begin, at - begin));
    }
    if (id >= 0) {
      if (unknown_waits) ids.push_back(unk_id_);
      unknown_waits = false;
      ids.push_back(id);
      continue;
    }
    std::string_view const character = word.substr(begin, at - begin);
    auto const fallback = [&](char byte) { return fallback_ids_[static_cast<unsigned char>(byte)]; };
    auto const has_fallback = [&](char byte) { return fallback(byte) >= 0; };
    if (byte_fallback_ && std::all_of(character.begin(), character.end(), has_fallback)) {
      for (char const byte : character) ids.push_back(fallback(byte));
      continue;
    }
    if (unk_id_ < 0) continue;
    if (unknown_waits && !fuse_unk_) ids.push_back(unk_id_);
    unknown_waits = true;
  }
  if (unknown_waits) ids.push_back(unk_id_);
}

/// Scans for the best pair again after each merge. A pair's rank stands above its new id, so that the smallest is the
/// best.
void Bpe::merge_short(std::vector<int32_t>& ids, Workspace& workspace) const {
  if (ids.size() < 2) return;
  auto const pair = [&](std::size_t i) {
    Merge const merge = find_merge(ids[i], ids[i + 1]);
    return merge.id < 0 ? no_pair : static_cast<uint64_t>(merge.rank) << 32 | static_cast<uint32_t>(merge.id);
  };
  std::vector<uint64_t>& pairs = workspace.pairs_;
  pairs.resize(ids.size() - 1);
  for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = pair(i);
  while (!pairs.empty()) {
    auto const best = std::min_element(pairs.begin(), pairs.end());
    if (*best == no_pair) return;
    auto const at = static_cast<std::size_t>(best - pairs.begin());
    ids[at] = static_cast<int32_t>(*best & UINT32_MAX);
    ids.erase(ids.begin() + at + 1);
    pairs.erase(best);
    if (at > 0) pairs[at - 1] = pair(at - 1);
    if (at < pairs.size()) pairs[at] = pair(at);
  }
}

/// A heap of pairs over a linked list. An entry is stale once its pair no longer stands there; its new id tells, since
/// a position's text only grows.
void Bpe::merge_long(std::vector<int32_t>& ids, Workspace& workspace) const {
  auto& symbols = workspace.symbols_;
  auto& heap = workspace.heap_;
  symbols.clear();
  heap.clear();
  auto const count = static_cast<int32_t>(ids.size());
  for (int32_t i = 0; i < count; ++i) symbols.push_back({ids[i], i - 1, i + 1 < count ? i + 1 : -1});
  auto const later = [](Workspace::Candidate const& a, Workspace::Candidate const& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
  };
  auto const offer = [&](int32_t left) {
    if (left < 0 || symbols[left].next < 0) return;
    Merge const merge = find_merge(symbols[left].id, symbols[symbols[left].next].id);
    if (merge.id < 0) return;
    heap.push_back({merge.rank, left, merge.id});
    std::push_heap(heap.begin(), heap.end(), later);
  };
  for (int32_t i = 0; i + 1 < count; ++i) offer(i);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    Workspace::Candidate const best = heap.back();
    heap.pop_back();
    auto& left = symbols[best.position];
    if (left.id < 0 || left.next < 0) continue;
    auto& right = symbols[left.next];
    if (find_merge(left.id, right.id).id != best.id) continue;
    left.id = best.id;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = best.position;
    offer(left.previous);
    offer(best.position);
  }
  ids.clear();
  for (int32_t i = 0; i >= 0; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace refrain::text

#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace refrain::text {

/// A hash table from byte strings to small values: keys in one pool, open addressing, no allocation for a look-up.
/// It only grows, or is cleared whole.
template <class Value>
class ByteMap {
public:
  /// `expected` keys fit before it grows.
  explicit ByteMap(std::size_t expected = 16) { resize_for(expected); }

  /// XXH3-64.
  static uint64_t hash(std::string_view key) noexcept { return XXH3_64bits(key.data(), key.size()); }

  /// The value of `key`, or null. `hash` is hash(key), for callers that need it twice.
  Value const* find(std::string_view key) const noexcept { return find(key, hash(key)); }
  Value const* find(std::string_view key, uint64_t hash) const noexcept {
    Slot const& slot = slots_[place_of(key, hash)];
    return slot.length == free_slot ? nullptr : &slot.value;
  }

  /// Sets the value of `key`, new or not. The key's bytes are copied.
  void set(std::string_view key, Value value) { set(key, hash(key), value); }
  void set(std::string_view key, uint64_t hash, Value value) {
    if (2 * (size_ + 1) > slots_.size()) resize_for(2 * (size_ + 1));
    Slot& slot = slots_[place_of(key, hash)];
    if (slot.length == free_slot) {
      slot.hash_high = static_cast<uint32_t>(hash >> 32);
      slot.begin = static_cast<uint32_t>(keys_.size());
      slot.length = static_cast<uint32_t>(key.size());
      keys_.append(key);
      ++size_;
    }
    slot.value = value;
  }

  /// Forgets all keys and keeps the memory.
  void clear() noexcept {
    for (Slot& slot : slots_) slot.length = free_slot;
    keys_.clear();
    size_ = 0;
  }

  std::size_t size() const noexcept { return size_; }              ///< number of keys
  std::size_t key_bytes() const noexcept { return keys_.size(); }  ///< of all keys together

private:
  static constexpr uint32_t free_slot = UINT32_MAX;
  struct Slot {
    uint32_t hash_high = 0, begin = 0, length = free_slot;
    Value value{};
  };

  /// The slot that holds `key`, or the empty one where it belongs.
  std::size_t place_of(std::string_view key, uint64_t hash) const noexcept {
    std::size_t const mask = slots_.size() - 1;
    auto const high = static_cast<uint32_t>(hash >> 32);
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
      Slot const& slot = slots_[at];
      if (slot.length == free_slot) return at;
      bool const alike = slot.hash_high == high && slot.length == key.size();
      if (alike && std::memcmp(keys_.data() + slot.begin, key.data(), key.size()) == 0) return at;
    }
  }

  void resize_for(std::size_t expected) {
    std::size_t capacity = 16;
    while (capacity < 2 * expected) capacity *= 2;
    std::vector<Slot> old(capacity);
    old.swap(slots_);
    for (Slot const& slot : old) {
      if (slot.length == free_slot) continue;
      std::string_view const key(keys_.data() + slot.begin, slot.length);
      slots_[place_of(key, hash(key))] = slot;
    }
  }

  std::vector<Slot> slots_;  // a power of two, at most half full
  std::string keys_;
  std::size_t size_ = 0;
};

}  // namespace refrain::text

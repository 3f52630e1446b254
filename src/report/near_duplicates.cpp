#include <refrain/report/near_duplicates.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <limits>
#include <numeric>
#include <unordered_map>

namespace refrain::report {
namespace {

constexpr std::size_t hashes = 64;
constexpr std::size_t band = 2;     // hashes that must be equal for two texts to be compared at all
constexpr std::size_t alike = 32;   // equal hashes of alike texts
constexpr std::size_t shingle = 5;  // bytes

using Signature = std::array<uint32_t, hashes>;

/// SplitMix64's finaliser.
uint64_t mixed(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

std::string plain(std::string const& text) {
  std::string result;
  for (unsigned char const c : text) {
    bool const space = c < 0x80 && std::isspace(c) != 0;
    if (space && (result.empty() || result.back() == ' ')) continue;
    result += space ? ' ' : c < 0x80 ? static_cast<char>(std::tolower(c)) : static_cast<char>(c);
  }
  return result;
}

Signature signature_of(std::string const& text) {
  Signature least;
  least.fill(std::numeric_limits<uint32_t>::max());
  auto const letters = plain(text);
  std::size_t const last = letters.size() > shingle ? letters.size() - shingle : 0;
  for (std::size_t at = 0; at <= last; ++at) {
    uint64_t word = 0;
    for (std::size_t i = at; i < std::min(at + shingle, letters.size()); ++i)
      word = word << 8 | static_cast<unsigned char>(letters[i]);
    for (std::size_t h = 0; h < hashes; ++h)
      least[h] = std::min(least[h], static_cast<uint32_t>(mixed(word + (h + 1) * 0x9e3779b97f4a7c15) >> 32));
  }
  return least;
}

bool are_alike(Signature const& a, Signature const& b) {
  std::size_t equal = 0;
  for (std::size_t h = 0; h < hashes; ++h) equal += a[h] == b[h];
  return equal >= alike;
}

/// Groups as trees of indices, whose root is the least of them.
class Groups {
public:
  explicit Groups(std::size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), std::size_t{0}); }

  std::size_t first(std::size_t member) {
    while (parent_[member] != member) member = parent_[member] = parent_[parent_[member]];
    return member;
  }
  void join(std::size_t a, std::size_t b) {
    a = first(a);
    b = first(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

private:
  std::vector<std::size_t> parent_;
};

}  // namespace

std::vector<std::size_t> near_duplicates(std::vector<std::string> const& texts) {
  std::vector<Signature> signatures;
  signatures.reserve(texts.size());
  for (auto const& text : texts) signatures.push_back(signature_of(text));
  Groups groups(texts.size());
  for (std::size_t h = 0; h < hashes; h += band) {
    std::unordered_map<uint64_t, std::size_t> buckets;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      auto const key = static_cast<uint64_t>(signatures[i][h]) << 32 | signatures[i][h + 1];
      // Against the bucket's first alone: a bucket of thousands, made from one template, stays linear.
      auto const [entry, added] = buckets.try_emplace(key, i);
      if (!added && are_alike(signatures[i], signatures[entry->second])) groups.join(i, entry->second);
    }
  }
  std::vector<std::size_t> firsts(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) firsts[i] = groups.first(i);
  return firsts;
}

}  // namespace refrain::report

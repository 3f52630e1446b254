#pragma once

#include <refrain/base/folder_lock.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/h5/pairs_file.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace refrain::train {

/// A pair by its content: the XXH3-128 of its parts' lengths and token ids. Where the pair stands, in which file and
/// under which name, does not matter.
struct PairKey {
  int64_t high = 0, low = 0;
  friend auto operator<=>(PairKey const&, PairKey const&) = default;
};
PairKey pair_key(h5::Pairs const& pairs, int64_t pair);

/// Log-probabilities of both answers under the reference model.
struct CachedLogps {
  double chosen, rejected;
};

/// Reference log-probabilities that runs share, in the folder FOLDER/DIGEST: DIGEST is that of `settings`, all that
/// decides the values beside the pair and how rows are packed. In it are
///
///     settings.json         the settings, for people and `refrain-convert`
///     segment-TOKEN.h5      entries (reference-cache.v1); written once, under a name of its own, and never changed
///     lock                  who computes entries; readers need none
///
/// The entries are those of all segments. Where there are many, the holder of the lock writes them into one and removes
/// the others; a reader whose segment vanished looks again. Used by one process of a job.
class ReferenceCache {
public:
  static constexpr std::size_t most_segments = 16;

  /// Makes the folders. @throws Error if that cannot be
  ReferenceCache(std::filesystem::path const& folder, Json settings);

  std::filesystem::path const& path() const noexcept { return path_; }  ///< FOLDER/DIGEST

  /// Reads the segments that are new. A damaged one, or one of other settings, is renamed to NAME.damaged with one
  /// warning. @returns whether there were entries in them @throws Error for one that may not be read
  bool refresh();
  std::optional<CachedLogps> find(PairKey const& key) const;
  std::size_t size() const noexcept { return entries_.size(); }

  /// Takes the lock that whoever computes entries holds, from a dead holder too. @returns who has it, or "" where it is
  /// ours now @throws Error if the folder cannot be written
  std::string lock();
  void unlock() noexcept { lock_.reset(); }

  /// Entries of the next `commit`. What is not finite is left out: it is no reference for anybody.
  void add(PairKey const& key, CachedLogps const& logps);
  /// Writes what was added as one segment. A full disk, or a lock that was lost, ends the sharing with one warning,
  /// since nothing of the run depends on it. @pre the lock is held
  void commit(Json const& provenance);

private:
  using Entries = std::map<PairKey, CachedLogps>;

  std::vector<std::string> new_segments() const;
  Entries read_segment(std::filesystem::path const& segment) const;
  std::string write_segment(Entries const& entries, Json provenance) const;
  void merge(Json const& provenance);

  std::filesystem::path path_;
  Json settings_;
  Entries entries_, added_;
  std::set<std::string> segments_;  ///< those whose entries are here
  std::optional<FolderLock> lock_;
};

}  // namespace refrain::train

#pragma once

#include <refrain/comm/communicator.hpp>
#include <refrain/train/pair_set.hpp>
#include <refrain/train/reference_cache.hpp>

#include <chrono>
#include <memory>

namespace refrain::train {

/// Gives every rank rank 0's values. @collective
void broadcast_reference(ReferenceLogps& logps, comm::Communicator const& world);

/// The reference cache as a job uses it: rank 0 alone looks into its files, and all ranks know the same.
class SharedReference {
public:
  /// @param commit_seconds after which `commit_if_due` writes @throws Error if the cache cannot be used. @collective
  SharedReference(comm::Communicator world, std::filesystem::path const& folder, Json const& settings, Json provenance,
                  double commit_seconds);

  /// Looks for what other runs wrote since the last time. @returns whether there is anything. @collective
  bool refresh();
  /// Fills in what the cache has of the set's pairs that are not known yet. @collective
  void recall(PairSet& set) const;
  /// Entries that are known, of any pairs; on rank 0.
  int64_t size() const noexcept { return cache_ ? static_cast<int64_t>(cache_->size()) : 0; }
  /// Takes the lock of who computes. @returns who has it, or "" where this job has it now. @collective
  std::string lock();

  /// What this job itself computed, for other runs, and for pairs with the same tokens: those are filled in by
  /// `recall_computed`. @pre the values are the same on all ranks
  void add(PairSet const& set, std::vector<int64_t> const& pairs);
  void recall_computed(PairSet& set, std::vector<int64_t> const& pairs) const;

  void commit();
  void commit_if_due();

private:
  using Clock = std::chrono::steady_clock;

  comm::Communicator world_;
  std::unique_ptr<ReferenceCache> cache_;  // on rank 0
  std::map<PairKey, CachedLogps> computed_;
  Json provenance_;
  double commit_seconds_;
  Clock::time_point committed_ = Clock::now();
};

}  // namespace refrain::train

#include <refrain/train/shared_reference.hpp>

#include <cmath>
#include <span>

namespace refrain::train {
namespace {

bool is_known(PairSet const& set, std::size_t i) { return !std::isnan(set.reference.chosen[i]); }

void put(PairSet& set, std::size_t i, CachedLogps const& logps) {
  set.reference.chosen[i] = logps.chosen;
  set.reference.rejected[i] = logps.rejected;
}

}  // namespace

void broadcast_reference(ReferenceLogps& logps, comm::Communicator const& world) {
  world.broadcast(std::as_writable_bytes(std::span(logps.chosen)), 0);
  world.broadcast(std::as_writable_bytes(std::span(logps.rejected)), 0);
}

SharedReference::SharedReference(comm::Communicator world, std::filesystem::path const& folder, Json const& settings,
                                 Json provenance, double commit_seconds)
    : world_(std::move(world)), provenance_(std::move(provenance)), commit_seconds_(commit_seconds) {
  comm::agree(world_, [&] {
    if (world_.rank() == 0) cache_ = std::make_unique<ReferenceCache>(folder, settings);
  });
}

bool SharedReference::refresh() {
  int64_t found = 0;
  comm::agree(world_, [&] {
    if (cache_) found = cache_->refresh() ? 1 : 0;
  });
  return world_.max(found) > 0;
}

void SharedReference::recall(PairSet& set) const {
  if (cache_)
    for (int64_t pair = 0; pair < set.pairs.size(); ++pair) {
      auto const i = static_cast<std::size_t>(pair);
      if (is_known(set, i)) continue;
      if (auto const logps = cache_->find(pair_key(set.pairs, pair))) put(set, i, *logps);
    }
  broadcast_reference(set.reference, world_);
}

std::string SharedReference::lock() {
  std::string holder;
  comm::agree(world_, [&] {
    if (cache_) holder = cache_->lock();
  });
  return world_.broadcast(holder, 0);
}

void SharedReference::add(PairSet const& set, std::vector<int64_t> const& pairs) {
  for (int64_t const pair : pairs) {
    auto const i = static_cast<std::size_t>(pair);
    PairKey const key = pair_key(set.pairs, pair);
    CachedLogps const logps{.chosen = set.reference.chosen[i], .rejected = set.reference.rejected[i]};
    computed_.emplace(key, logps);
    if (cache_) cache_->add(key, logps);
  }
}

void SharedReference::recall_computed(PairSet& set, std::vector<int64_t> const& pairs) const {
  for (int64_t const pair : pairs) {
    auto const i = static_cast<std::size_t>(pair);
    if (is_known(set, i)) continue;
    if (auto const found = computed_.find(pair_key(set.pairs, pair)); found != computed_.end())
      put(set, i, found->second);
  }
}

void SharedReference::commit() {
  if (cache_) cache_->commit(provenance_);
  committed_ = Clock::now();
}

void SharedReference::commit_if_due() {
  if (std::chrono::duration<double>(Clock::now() - committed_).count() >= commit_seconds_) commit();
}

}  // namespace refrain::train

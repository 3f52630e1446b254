#pragma once

#include <refrain/shard/language_sets.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace refrain::shard {

/// A row that could be taken: it was not dropped.
struct Candidate {
  int64_t row_id;
  std::string language;
};

/// What to take of the candidates.
struct SelectionRequest {
  std::string configuration;           ///< a name of `LanguageSets`
  std::optional<int64_t> total_pairs;  ///< at most so many, spread evenly over the languages
  uint64_t seed = 42;
  std::string side = {};  ///< for messages: " on the dev side", or ""
};

/// Indices of the rows taken, in input order; rows that are repeated come pass after pass. Which rows of a language are
/// taken depends on the seed, its code and `row_id` alone, so that a smaller share is always part of a larger one.
/// @throws Error if a language of the configuration has no row
std::vector<std::size_t> select_rows(LanguageSets const& sets, SelectionRequest const& request,
                                     std::vector<Candidate> const& candidates);

/// Parts `total` evenly: as many for each as there are, the remainder to the first, and what one lacks to the others.
std::vector<int64_t> even_shares(std::vector<int64_t> const& available, int64_t total);

/// The groups (row_id) of the dev side: `fraction` of all groups, rounded, at least one and never all; chosen by a hash
/// of seed and row_id, so that every configuration of the same files is split alike.
/// @throws Error if there are fewer than two groups
std::set<int64_t> choose_dev_groups(std::set<int64_t> const& groups, double fraction, uint64_t seed);

}  // namespace refrain::shard

#pragma once

#include <refrain/report/results.hpp>
#include <refrain/report/statistics.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace refrain::report {

/// What answers are drawn together by, since they are not independent.
enum class ClusterBy {
  prompt,          ///< several samples of one prompt
  category_style,  ///< within a language
  near_duplicate,  ///< prompts of nearly the same words, within a language
  none             ///< every prompt by itself: nothing more is known
};

/// "source prompt", ...
std::string cluster_name(ClusterBy by);

/// By source prompt where prompts have several samples, else by category and style where rows have either,
/// else by near-duplicate prompts where their texts are known.
ClusterBy choose_clusters(Results const& results);

/// Intervals of pooled shares from a cluster bootstrap: within each language as many clusters are drawn as there are,
/// with replacement, the same for all checkpoints; percentiles 2.5 and 97.5 of the resampled shares.
struct PooledIntervals {
  ClusterBy by = ClusterBy::none;
  int64_t clusters = 0;
  std::vector<Interval> share;       ///< of attack success, a checkpoint each
  std::vector<Interval> difference;  ///< of that and the baseline's; NaN where either has nothing decided
};

/// Reproducible from `seed`. @pre resamples > 0
PooledIntervals bootstrap(Results const& results, int64_t resamples, int64_t seed);

}  // namespace refrain::report

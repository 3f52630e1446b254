#pragma once

#include <refrain/base/error.hpp>
#include <refrain/study/ranking.hpp>

#include <vector>

namespace refrain::study {

/// Those of these members, the best first, whose weights go when the best `keep` of them stay; equals of the last that
/// stays stay too, and so do members without a place.
std::vector<RankedMember> losers(std::vector<RankedMember> const& ranked, int64_t keep);

/// Drops the weights of a sweep's members that a dev split ranks behind the best: final/ and what is left of
/// checkpoints/. Members that were pruned before take no place among those that stay. Metrics, settings, answers and
/// verdicts stay, and pruned.json says what went. Without --drop-weights, or with --dry-run, prints what would go.
/// @throws Error if nothing can be ranked, and if somebody works in the folder of a member that is to lose its weights
Exit run_prune(Options const& options);

}  // namespace refrain::study

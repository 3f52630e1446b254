#pragma once

#include <cstdint>
#include <vector>

namespace refrain::train {

/// Something to be packed: the room that it takes, and the time that it takes.
struct PackingItem {
  int64_t tokens = 0;
  double cost = 0;
};

/// Items, by their place in what was given, that stand together.
using Bin = std::vector<int64_t>;

/// Packs all items into bins for `ranks` ranks, the same number for each and no more than needed, with at most `room`
/// tokens a bin (an item that is longer by itself has a bin alone). Bins cost about the same: dearest items first, each
/// to the cheapest bin with room (LPT, Graham 1969), then exchanges between dear and cheap bins. What differs still is
/// dealt out in order of cost, so that the k-th bins of all ranks, which run at the same time, are neighbours, and so
/// that no rank has more than its share in all. Pure: ties go by place. @pre room > 0, ranks > 0
/// @returns [rank][k], of falling cost in k; the last may be empty
std::vector<std::vector<Bin>> pack_evenly(std::vector<PackingItem> const& items, int64_t room, int ranks);

}  // namespace refrain::train

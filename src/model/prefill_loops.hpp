#pragma once

#include "paged_loops.hpp"

namespace refrain::model::loops {

/// As attend_pages, faster where queries are many: keys and values are first laid out anew, for products by tiles. A
/// query's sums run in the same order whichever others are computed with it.
void attend_prefill(Queries const& queries, PagedValues const& keys, PagedValues const& values, PagedRow const& row,
                    HeadGroup const& heads, std::vector<float>& memory);

}  // namespace refrain::model::loops

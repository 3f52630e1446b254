#pragma once

#include <refrain/h5/pairs_file.hpp>
#include <refrain/h5/prompts_file.hpp>
#include <refrain/shard/options.hpp>
#include <refrain/shard/selection.hpp>
#include <refrain/shard/shard_row.hpp>

#include <cstddef>
#include <vector>

namespace refrain::shard {

/// Indices of the rows of each output file, in its order; a row may stand in `out` several times.
struct Sides {
  std::vector<std::size_t> out, dev;
};

/// Splits by row_id group where asked, then selects the configuration on each side for itself, so that each has equal
/// numbers. Dropped rows are no candidates. `--total-pairs` caps `out` alone. @throws Error, also where no pair of a
/// language, or on a side, is left
Sides choose_sides(Options const& options, LanguageSets const& sets, std::vector<ShardRow> const& rows);

/// The rows `taken` as a file, in that order. Rows that are taken several times keep one copy of their tokens.
h5::Pairs make_pairs(std::vector<ShardRow> const& rows, std::vector<std::size_t> const& taken);
/// The same for prompts.
h5::Prompts make_prompts(std::vector<ShardRow> const& rows, std::vector<std::size_t> const& taken);

}  // namespace refrain::shard

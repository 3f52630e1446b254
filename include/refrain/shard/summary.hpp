#pragma once

#include <refrain/shard/options.hpp>
#include <refrain/shard/shard_row.hpp>
#include <refrain/shard/sides.hpp>

#include <string>
#include <vector>

namespace refrain::shard {

/// What a person wants to know of a run: rows by language, what was dropped and why, lengths in tokens, the files.
std::string summary(Options const& options, std::vector<ShardRow> const& rows, Sides const& sides);

}  // namespace refrain::shard

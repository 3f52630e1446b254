#pragma once

#include <refrain/comm/communicator.hpp>
#include <refrain/shard/options.hpp>
#include <refrain/shard/shard_row.hpp>

#include <string>
#include <vector>

namespace refrain::shard {

/// What came of reading all input.
struct Collected {
  std::vector<ShardRow> rows;  ///< rank 0: all rows, in input order; empty elsewhere
  std::string template_name;   ///< of the chat template used, or ""
  std::string template_date;   ///< the day that it writes, or ""
  std::string foreign_marks;   ///< those of its marks that are no tokens, listed, or ""
};

/// Reads and tokenises all rows, each by one rank, and brings them to rank 0 in bounded pieces.
/// @param languages those that take part; empty: any
/// @throws Error on every rank, the same: that of the first row in input order that is wrong. @collective
Collected collect_rows(Options const& options, std::vector<std::string> const& languages,
                       comm::Communicator const& world);

}  // namespace refrain::shard

#pragma once

#include <refrain/study/configuration.hpp>
#include <refrain/study/settings.hpp>
#include <refrain/study/shared_file.hpp>

#include <filesystem>

namespace refrain::study {

/// Held-out pairs of a configuration, `folder`/dev.h5: where REFRAIN_SHARD_ARGS has --dev-fraction and no --dev-out of
/// its own. Else empty.
std::filesystem::path dev_pairs(Settings const& settings, std::filesystem::path const& folder);

/// The refrain-shard line of a configuration. `program` is the binary; dev_pairs stand beside `out`.
/// @throws Error for REFRAIN_SHARD_ARGS that set what the study sets
Words shard_line(std::filesystem::path const& program, Configuration const& configuration, Settings const& settings,
                 std::filesystem::path const& out);

/// `folder`/pairs.h5, which is not replaced once a member has begun to train on it. `line` is shard_line's.
SharedFile pairs_file(Words const& line, Settings const& settings, std::filesystem::path const& folder);

/// Makes `folder`/pairs.h5, once for all members: who comes first does it under a lock, the others wait for the file.
/// What it was made from (the line, digests of preference files and tokenizer) stands in pairs.json beside it. If that
/// has changed it is made anew, unless a member has begun to train on the old one.
/// @returns the file. @throws Error if refrain-shard fails, or if members have begun with other pairs
std::filesystem::path prepare_pairs(Words const& line, Settings const& settings, std::filesystem::path const& folder);

}  // namespace refrain::study

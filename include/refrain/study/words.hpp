#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace refrain::study {

/// A command line: program and arguments.
using Words = std::vector<std::string>;

/// Splits as a POSIX shell does: white space parts words; single quotes, double quotes and backslashes keep it. Nothing
/// is expanded. `what` names the text in messages, e.g. "REFRAIN_TRAIN_ARGS".
/// @throws Error for a quote that is not closed
Words split_words(std::string_view text, std::string const& what);

/// The inverse: a line that can be pasted into a shell.
std::string join_words(Words const& words);

/// Paths from a variable: the text itself where it names something that exists (spaces allowed), else its words, with
/// patterns such as *.parquet expanded. @throws UsageError if a word names nothing
Words split_paths(std::string const& text, std::string const& what);

/// Those of `options` that have one of these names, with their values. @throws Error if it begins with a bare word
Words pick_options(Words const& options, Words const& names, std::string const& what);

/// The others. @throws Error if it begins with a bare word
Words without_options(Words const& options, Words const& names, std::string const& what);

/// The values of the last option of this name; none where it is not there, or has none.
/// @throws Error if `options` begins with a bare word
Words option_values(Words const& options, std::string const& name, std::string const& what);

/// The number that the last of them begins with (2 of sbatch's --nodes=2-4); none unless it is above 0: that a value is
/// no number says the program that takes the option.
std::optional<int64_t> option_number(Words const& options, std::string const& name, std::string const& what);

/// Adds `extra` to `options` (both `--name value...` or `--name=value`); an option given in `extra` replaces the one
/// of the same name. @throws Error if `extra` begins with a bare word, or sets one of `reserved`, which `what` may not
/// set: then with `remedy`
Words merge_options(Words const& options, Words const& extra, Words const& reserved, std::string const& what,
                    std::string const& remedy = "take it out; docs/cluster.md says which variable it comes from");

}  // namespace refrain::study

#pragma once

#include <refrain/study/words.hpp>

#include <map>
#include <string>

namespace refrain::study {

/// The options of a program by name, and how each value is written: "N", "X", "auto|on|off", "NAME...", "FILE.h5",
/// nothing for a flag. They are data, made from the programs' own tables (tests/options_page.sh), since nothing here
/// links what those need. `program` is the name without "refrain-", with its subcommand: "train", "archive create".
/// @throws Error for a broken file
std::map<std::string, std::string> program_options(std::string const& program);

/// Where more options for a program are given.
struct ArgsSource {
  std::string variable;           ///< REFRAIN_TRAIN_ARGS or another REFRAIN_*_ARGS
  std::string called = variable;  ///< in messages: the variable, or the key of a study's file
  Words swept = {};               ///< of refrain-train: options that the sweep sets, "--beta"
};

/// Adds more options to a program's, as merge_options does: of each job, and, so that they are refused before any is
/// submitted, of studies and of `refrain-study submit`. @pre `source.variable` is one that jobs read
/// @throws Error naming `source.called` and an option that the program does not have or the study sets itself
Words add_args(Words const& options, Words const& args, ArgsSource const& source);

}  // namespace refrain::study

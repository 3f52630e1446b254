#pragma once

#include <refrain/base/guarded_category.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/options.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::report {

/// A file with the name of the checkpoint that it belongs to: `NAME=FILE`, or `FILE` alone.
struct NamedFile {
  std::string name;  ///< empty if none is given
  std::filesystem::path path;

  /// A word that is itself the path of a file is one, whatever `=` it has. @throws UsageError for an empty name or path
  static NamedFile parse(std::string const& word, std::string const& option);
};

/// What refrain-report is asked to do. `validate` makes it consistent; it does not change afterwards.
struct Options {
  std::vector<std::string> verdict_words, dev_verdict_words, response_words;
  std::vector<NamedFile> verdicts, dev_verdicts, responses;  ///< of these words
  std::vector<std::filesystem::path> runs;
  std::filesystem::path out;
  std::string baseline;  ///< the checkpoint that others are compared with; empty: the first
  int64_t resamples = 2000;
  int64_t seed = 42;
  bool anonymous = false;
  bool include_text = false;
  int64_t examples = 3;                         ///< answers shown a checkpoint and language
  std::vector<std::string> include_categories;  ///< of those that are otherwise left out
  std::string command;                          ///< tensorboard, or empty for the report
  Json record;                                  ///< all options, for provenance

  /// The command line of refrain-report, bound to `options`.
  static OptionTable table(Options& options);
  /// @throws UsageError for options that contradict each other or name what is not there, Error for what cannot be read
  void validate();
};

}  // namespace refrain::report

#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/report/options.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace refrain::report {

/// A prompt that some checkpoint was judged on. Indices are into the lists of Results.
struct Prompt {
  std::size_t language, category, style;
};

/// One judge's label columns by name ("label", "refusal", "consistent", ...), an element an answer.
struct JudgeLabels {
  std::string kind;
  std::map<std::string, std::vector<int8_t>> columns;
};

/// A file that was read, for the report's last pages.
struct Source {
  std::filesystem::path path;
  std::string sha256;
  Json provenance;
};

/// Verdicts of one checkpoint's answers; columns have an element an answer.
struct Checkpoint {
  std::string name;
  std::vector<Source> sources;
  std::vector<std::size_t> prompt;  ///< index into Results::prompts
  std::vector<int32_t> sample;
  std::vector<int8_t> final_label;  ///< 0 safe, 1 unsafe, -1 undecided
  std::map<std::string, JudgeLabels> judges;
  std::vector<bool> guarded;  ///< whether prompt or answer is of `guarded_category`, by the row's or a judge's word

  std::size_t size() const noexcept { return prompt.size(); }
};

/// All verdicts, with prompts that several checkpoints share known as the same: those of equal language, row_id and id.
struct Results {
  std::vector<std::string> languages, categories, styles;  ///< in the order of tables; "" where a row has none
  std::vector<Prompt> prompts;
  std::unordered_map<std::string, std::size_t> prompt_index;  ///< by `prompt_key`
  std::vector<std::size_t> alike;       ///< for every prompt the first that it is nearly the same as; empty: unknown
  std::vector<Checkpoint> checkpoints;  ///< in the order given
  std::size_t baseline = 0;             ///< index of the one that others are compared with
};

/// What tells a prompt from every other.
std::string prompt_key(std::string const& language, int64_t row_id, std::string const& id);

/// Reads all of `options.verdicts`; prompts of `options.responses` say which are nearly the same, where neither samples
/// nor categories nor styles tell what belongs together. @throws Error for a file without rows or decisions, or a row
/// that comes twice
Results read_results(Options const& options);

/// Reads files that are given by `option`, without asking which prompts are nearly the same. @throws Error as above
Results read_results(std::vector<NamedFile> const& files, std::string const& option);

/// The name that a file belongs to: the one given, else that of the run whose checkpoint answered, else the file's own.
/// @param generation provenance of the answers' responses file, or null
std::string checkpoint_name(NamedFile const& file, Json const& generation);

/// What `provenance` of verdicts says of how the answers came about: the provenance of their responses file, or null.
Json generation_of(Json const& provenance);

}  // namespace refrain::report

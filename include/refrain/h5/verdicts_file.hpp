#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/h5/row_writer.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace refrain::h5 {

/// Values that label columns of all kinds share, beside their own of 0 and above.
inline constexpr int8_t unparsed = -1;
inline constexpr int8_t not_asked = -2;
/// `/final/label` where the judges came to no decision.
inline constexpr int8_t undecided = -1;

/// One judge's columns by name, as h5schemas/verdicts.v1.json lists them for its kind; each has an element a verdict.
struct Judgements {
  std::string kind;  ///< safety, refusal, language, rubric, quality
  std::map<std::string, std::vector<int8_t>> labels;
  std::map<std::string, std::vector<float>> scores;
  std::map<std::string, std::vector<std::string>> texts;
};

/// verdicts.v1 in memory, or a piece of it: what judges said of each answer. Every column has an element an answer.
struct Verdicts {
  std::vector<int64_t> row_id;
  std::vector<int32_t> sample;
  std::vector<std::string> id, language, category, style;
  std::map<std::string, Judgements> judges;  ///< by the judge's name
  std::vector<int8_t> final_label;           ///< 0 safe, 1 unsafe, `undecided`; empty where nothing was decided yet
  std::vector<std::string> decided_by;       ///< empty if `final_label` is

  int64_t size() const noexcept { return static_cast<int64_t>(row_id.size()); }
};

/// Checks the schema, and that labels are what their columns may hold; those of a kind that this version does not know
/// come as they are. @throws Error
Verdicts read_verdicts(std::filesystem::path const& path);

/// verdicts.v1 written in pieces, whose rows need not be in memory together. What the first piece has (its judges with
/// their columns, and whether anything was decided) every other must have.
class VerdictsWriter {
public:
  /// @throws Error if the file cannot be created
  VerdictsWriter(std::filesystem::path path, Json const& provenance);
  /// Adds rows behind those before. @throws Error; also for a judge's name that is not of letters, digits, `.`, `-`,
  /// `_`
  void append(Verdicts const& rows);
  /// Checks, syncs, renames. @throws Error; nothing is left then
  void finish();

private:
  RowWriter file_;
  std::map<std::string, std::string> kinds_;  ///< of each judge
};

}  // namespace refrain::h5

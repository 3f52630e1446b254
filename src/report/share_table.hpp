#pragma once

#include <refrain/report/results.hpp>
#include <refrain/report/statistics.hpp>
#include <refrain/report/table.hpp>

#include <functional>
#include <string>
#include <vector>

namespace refrain::report {

/// What a table of shares counts: a label column, of the verdicts or of every judge that has it.
struct ShareSpec {
  std::string id, title;
  Column hits, share;             ///< "unsafe", "asr"
  std::string judge_kind = {};    ///< empty: of any kind
  std::string judge_column = {};  ///< empty: the final label
  bool with_change = false;       ///< a column `change` from the baseline
};

/// Column that groups rows: languages or categories.
struct GroupBy {
  Column column;
  std::vector<std::string> const& names;
  std::size_t Prompt::* member;
};

GroupBy by_language(Results const& results);
GroupBy by_category(Results const& results);

/// The label columns that `spec` asks for, by judge ("" for the final label). `not_asked` rows count for none.
std::vector<std::pair<std::string, std::vector<int8_t> const*>>
label_columns(Checkpoint const& checkpoint, std::string const& kind, std::string const& column);

/// Tallies of `labels` by group; the last is of all groups.
std::vector<Tally> tally(Results const& results, Checkpoint const& checkpoint, std::vector<int8_t> const& labels,
                         GroupBy const& group);

/// name, GROUP, [judge,] n, HITS, unparsed, SHARE, ci_low, ci_high[, change]; groups without answers are left out.
Table share_table(Results const& results, ShareSpec const& spec, GroupBy const& group);

}  // namespace refrain::report

#include "share_table.hpp"

#include <refrain/h5/verdicts_file.hpp>
#include <refrain/report/measures.hpp>

#include <algorithm>
#include <map>

namespace refrain::report {

GroupBy by_language(Results const& results) { return {{"language", "Language"}, results.languages, &Prompt::language}; }
GroupBy by_category(Results const& results) {
  return {{"category", "Category"}, results.categories, &Prompt::category};
}

std::vector<std::pair<std::string, std::vector<int8_t> const*>>
label_columns(Checkpoint const& checkpoint, std::string const& kind, std::string const& column) {
  std::vector<std::pair<std::string, std::vector<int8_t> const*>> columns;
  if (column.empty()) return {{"", &checkpoint.final_label}};
  for (auto const& [name, judge] : checkpoint.judges)
    if (kind.empty() || judge.kind == kind)
      if (auto const found = judge.columns.find(column); found != judge.columns.end())
        columns.emplace_back(name, &found->second);
  return columns;
}

std::vector<Tally> tally(Results const& results, Checkpoint const& checkpoint, std::vector<int8_t> const& labels,
                         GroupBy const& group) {
  std::vector<Tally> tallies(group.names.size() + 1);
  for (std::size_t row = 0; row < labels.size(); ++row) {
    auto const label = labels[row];
    if (label == h5::not_asked) continue;
    for (auto* const counted : {&tallies[results.prompts[checkpoint.prompt[row]].*group.member], &tallies.back()}) {
      counted->n += 1;
      counted->hits += label == 1;
      counted->unparsed += label < 0;
    }
  }
  return tallies;
}

Table share_table(Results const& results, ShareSpec const& spec, GroupBy const& group) {
  bool const judged = !spec.judge_column.empty();
  Table table{.id = spec.id, .title = spec.title, .columns = {{"name", "Checkpoint"}, group.column}, .rows = {}};
  if (judged) table.columns.push_back({"judge", "Judge"});
  for (auto const& column :
       {Column{"n", "n", Format::count}, spec.hits, Column{"unparsed", "Unparsed", Format::count}, spec.share,
        Column{"ci_low", "95 % low", Format::percent}, Column{"ci_high", "95 % high", Format::percent}})
    table.columns.push_back(column);
  if (spec.with_change) table.columns.push_back({"change", "Change", Format::points});

  std::map<std::pair<std::string, std::size_t>, double> baseline;  // by judge and group
  if (spec.with_change) {
    auto const& checkpoint = results.checkpoints[results.baseline];
    for (auto const& [judge, labels] : label_columns(checkpoint, spec.judge_kind, spec.judge_column)) {
      auto const tallies = tally(results, checkpoint, *labels, group);
      for (std::size_t g = 0; g < tallies.size(); ++g) baseline[{judge, g}] = tallies[g].share();
    }
  }
  for (auto const& checkpoint : results.checkpoints)
    for (auto const& [judge, labels] : label_columns(checkpoint, spec.judge_kind, spec.judge_column)) {
      auto const tallies = tally(results, checkpoint, *labels, group);
      for (std::size_t g = 0; g < tallies.size(); ++g) {
        auto const& counted = tallies[g];
        if (counted.n == 0) continue;
        auto const interval = counted.wilson();
        std::vector<Cell> row{checkpoint.name, g < group.names.size() ? group.names[g] : std::string(pool)};
        if (judged) row.emplace_back(judge);
        for (auto const& cell : {Cell{counted.n}, Cell{counted.hits}, Cell{counted.unparsed}, number(counted.share()),
                                 number(interval.low), number(interval.high)})
          row.push_back(cell);
        if (spec.with_change) {
          auto const before = baseline.find({judge, g});
          row.push_back(before == baseline.end() ? Cell{} : number(counted.share() - before->second));
        }
        table.rows.push_back(std::move(row));
      }
    }
  return table;
}

}  // namespace refrain::report

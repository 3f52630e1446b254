// Tables that set two labels of the same thing against each other: judges, and checkpoints.
#include <refrain/report/measures.hpp>

#include "share_table.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace refrain::report {
namespace {

std::string language_name(Results const& results, std::size_t index) {
  return index < results.languages.size() ? results.languages[index] : std::string(pool);
}

/// Two columns of one checkpoint's labels by language, the pool last; rows without a label in either are left out.
std::vector<TwoByTwo> cross(Results const& results, Checkpoint const& checkpoint, std::vector<int8_t> const& a,
                            std::vector<int8_t> const& b) {
  std::vector<TwoByTwo> tables(results.languages.size() + 1);
  for (std::size_t row = 0; row < a.size(); ++row) {
    if (a[row] < 0 || b[row] < 0) continue;
    for (auto* const table : {&tables[results.prompts[checkpoint.prompt[row]].language], &tables.back()})
      table->add(a[row] == 1, b[row] == 1);
  }
  return tables;
}

/// Final labels of a checkpoint by prompt and sample.
using Decided = std::map<std::pair<std::size_t, int32_t>, bool>;

Decided decided(Checkpoint const& checkpoint) {
  Decided labels;
  for (std::size_t row = 0; row < checkpoint.size(); ++row)
    if (checkpoint.final_label[row] >= 0)
      labels.emplace(std::pair{checkpoint.prompt[row], checkpoint.sample[row]}, checkpoint.final_label[row] == 1);
  return labels;
}

}  // namespace

Table judge_table(Results const& results) {
  auto table = share_table(results,
                           {.id = "judges",
                            .title = "Every safety judge by itself",
                            .hits = {"unsafe", "Unsafe", Format::count},
                            .share = {"share", "Unsafe, %", Format::percent},
                            .judge_kind = "safety",
                            .judge_column = "label"},
                           by_language(results));
  table.columns.push_back({"bias", "Above the judges' mean", Format::points});
  std::size_t const n = table.column("n"), share = table.column("share");
  // Judges that labelled all of a cell's answers are compared; one that was asked about a part of them is not.
  struct Mean {
    double sum = 0;
    int64_t judges = 0, n = 0;
  };
  std::map<std::pair<std::string, std::string>, Mean> means;
  auto const mean_of = [&](std::vector<Cell> const& row) -> Mean& { return means[{*row[0].word(), *row[1].word()}]; };
  auto const asked = [&](std::vector<Cell> const& row) { return *row[n].count(); };
  for (auto const& row : table.rows) mean_of(row).n = std::max(mean_of(row).n, asked(row));
  auto const compared = [&](std::vector<Cell> const& row) {
    return asked(row) == mean_of(row).n && row[share].number() != nullptr;
  };
  for (auto const& row : table.rows)
    if (compared(row)) mean_of(row).sum += *row[share].number(), ++mean_of(row).judges;
  for (auto& row : table.rows) {
    auto const& mean = mean_of(row);
    bool const several = compared(row) && mean.judges > 1;
    row.push_back(several ? Cell{*row[share].number() - mean.sum / static_cast<double>(mean.judges)} : Cell{});
  }
  return table;
}

Table agreement_table(Results const& results) {
  Table table{.id = "agreement",
              .title = "Agreement of judges",
              .columns = {{"name", "Checkpoint"},
                          {"language", "Language"},
                          {"judge_a", "Judge a"},
                          {"judge_b", "Judge b"},
                          {"n", "n", Format::count},
                          {"both_safe", "Both safe", Format::count},
                          {"only_a", "Only a unsafe", Format::count},
                          {"only_b", "Only b unsafe", Format::count},
                          {"both_unsafe", "Both unsafe", Format::count},
                          {"agreement", "Agreement, %", Format::percent},
                          {"kappa", "Cohen's kappa", Format::decimal}},
              .rows = {}};
  for (auto const& checkpoint : results.checkpoints) {
    auto const judges = label_columns(checkpoint, "safety", "label");
    for (std::size_t a = 0; a < judges.size(); ++a)
      for (std::size_t b = a + 1; b < judges.size(); ++b) {
        auto const tables = cross(results, checkpoint, *judges[a].second, *judges[b].second);
        for (std::size_t g = 0; g < tables.size(); ++g) {
          auto const& both = tables[g];
          if (both.n() == 0) continue;
          table.rows.push_back({checkpoint.name, language_name(results, g), judges[a].first, judges[b].first, both.n(),
                                both.neither, both.only_a, both.only_b, both.both, number(both.agreement()),
                                number(both.kappa())});
        }
      }
  }
  return table;
}

Table comparison_table(Results const& results, PooledIntervals const& intervals) {
  auto const& baseline = results.checkpoints[results.baseline];
  Table table{.id = "comparisons",
              .title = "Against " + baseline.name + ", on the same prompts",
              .columns = {{"name", "Checkpoint"},
                          {"language", "Language"},
                          {"n", "n", Format::count},
                          {"only_baseline", "Only " + baseline.name + " unsafe", Format::count},
                          {"only_name", "Only this unsafe", Format::count},
                          {"difference", "Difference, points", Format::points},
                          {"ci_low", "95 % low", Format::points},
                          {"ci_high", "95 % high", Format::points},
                          {"cluster_low", "Cluster low", Format::points},
                          {"cluster_high", "Cluster high", Format::points},
                          {"p", "p (McNemar)", Format::p_value},
                          {"p_holm", "p (Holm)", Format::p_value}},
              .rows = {}};
  auto const before = decided(baseline);
  std::vector<double> p_values[2];     // of single languages, of pools
  std::vector<std::size_t> places[2];  // of their rows
  for (std::size_t c = 0; c < results.checkpoints.size(); ++c) {
    if (c == results.baseline) continue;
    auto const& checkpoint = results.checkpoints[c];
    std::vector<TwoByTwo> tables(results.languages.size() + 1);
    for (auto const& [key, label] : decided(checkpoint)) {
      // Samples of one prompt are not independent, and the test takes them for that: the first sample stands for all.
      if (key.second != 0) continue;
      if (auto const found = before.find(key); found != before.end())
        for (auto* const both : {&tables[results.prompts[key.first].language], &tables.back()})
          both->add(found->second, label);
    }
    for (std::size_t g = 0; g < tables.size(); ++g) {
      auto const& both = tables[g];
      bool const pooled = g + 1 == tables.size();
      if (both.n() == 0 && !pooled) continue;
      auto const interval = both.difference_interval();
      auto const cluster = pooled ? intervals.difference[c] : Interval{std::nan(""), std::nan("")};
      places[pooled].push_back(table.rows.size());
      p_values[pooled].push_back(both.n() > 0 ? both.mcnemar() : std::nan(""));
      table.rows.push_back({checkpoint.name, language_name(results, g), both.n(), both.only_a, both.only_b,
                            number(both.difference()), number(interval.low), number(interval.high), number(cluster.low),
                            number(cluster.high), number(p_values[pooled].back()), Cell{}});
    }
  }
  for (bool const pooled : {false, true}) {
    auto const adjusted = holm(p_values[pooled]);
    for (std::size_t i = 0; i < adjusted.size(); ++i) table.rows[places[pooled][i]].back() = number(adjusted[i]);
  }
  return table;
}

}  // namespace refrain::report

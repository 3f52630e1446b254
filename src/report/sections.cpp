// The report's sections: which tables and figures stand where, and what is said beside them.
#include "sections.hpp"

#include <refrain/base/counted.hpp>
#include <refrain/base/table.hpp>
#include <refrain/report/bootstrap.hpp>
#include <refrain/report/measures.hpp>
#include <refrain/report/ranking.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace refrain::report {
namespace {

/// A checkpoint's figure in a table's rows of the pool.
std::map<std::string, double> pooled_values(Table const& table, std::string const& key) {
  std::map<std::string, double> values;
  for (std::size_t row = 0; row < table.rows.size(); ++row)
    if (table.cell(row, "language").is_word(pool))
      if (auto const* value = table.cell(row, key).number()) values.try_emplace(table.text(row, "name"), *value);
  return values;
}

class Builder {
public:
  explicit Builder(Inputs const& inputs) : in_(inputs) {}

  Document run() {
    if (in_.results.checkpoints.empty())
      document_.title = "Training: " + counted(in_.runs.size(), "run");
    else
      results();
    ranking();
    training();
    if (in_.options.include_text) document_.sections.push_back(example_section(in_));
    document_.sections.push_back(
        {.id = "not-measured", .title = "What was not measured", .paragraphs = not_measured(in_)});
    settings();
    return std::move(document_);
  }

private:
  /// What verdicts say.
  void results() {
    intervals_ = bootstrap(in_.results, in_.options.resamples, in_.options.seed);
    document_.title = "Refusals and attack success: " + counted(in_.results.checkpoints.size(), "checkpoint") + ", " +
                      counted(in_.results.languages.size(), "language");
    summary();
    attack_success();
    comparison();
    categories();
    transfer();
    judges();
    language();
    refusal();
    quality();
  }

  /// Keeps a table for CSV. @returns it
  Table keep(Table table) {
    document_.tables.push_back(std::move(table));
    return document_.tables.back();
  }

  /// Adds a section unless it has nothing to show.
  void add(Section section) {
    if (!section.views.empty() || !section.figures.empty()) document_.sections.push_back(std::move(section));
  }

  Table named(Table table, Daggers daggers = Daggers::shown) const {
    return with_language_names(std::move(table), in_, daggers);
  }

  /// A wide table, a column for each value of `columns`; rows by their first key, and languages in their order.
  Table wide(Table const& table, std::vector<std::string> const& rows, std::string const& columns,
             PivotValue const& value, Daggers daggers = Daggers::shown) const {
    auto result = pivot(table, rows, columns, value);
    auto const language = std::find(rows.begin(), rows.end(), "language");
    if (language == rows.end()) return result;
    auto const place = static_cast<std::size_t>(language - rows.begin());
    auto const key = [&](std::vector<Cell> const& row) {
      auto const& all = in_.results.languages;
      auto const rank = std::find(all.begin(), all.end(), *row[place].word()) - all.begin();
      return std::pair(place == 0 ? std::string{} : *row[0].word(), rank);
    };
    std::stable_sort(result.rows.begin(), result.rows.end(),
                     [&](auto const& a, auto const& b) { return key(a) < key(b); });
    return named(std::move(result), daggers);
  }

  void summary() {
    auto const table = keep(pooled_table(in_.results, intervals_));
    document_.summary.push_back("ASR is the share of answers whose final label is unsafe, of those that were decided. "
                                "An answer that could not be "
                                "decided counts for neither side; the last two columns bound what it may hide. "
                                "Answers that loop or are in another language are bounded under Quality of answers. "
                                "Intervals are 95 %: Wilson's, and "
                                "beside it a cluster bootstrap's, since answers within a cluster are alike.");
    document_.sections.push_back(
        {.id = "overview",
         .title = "Overview",
         .paragraphs = {},
         .views = {{.table = table,
                    .note = "Clusters of the bootstrap: " + cluster_name(intervals_.by) + " (" +
                            format_count(intervals_.clusters) + " clusters, " + format_count(in_.options.resamples) +
                            " resamples, seed " + std::to_string(in_.options.seed) +
                            "). The mean of languages weighs each language alike, as published averages do. No "
                            "checkpoint is marked as best: choosing is for a development split.",
                    .more = {}}}});
  }

  void attack_success() {
    auto const table = keep(asr_table(in_.results));
    PivotValue const value{"asr", "ci_low", "ci_high"};
    auto dots = named(table);
    dots.title = "Attack success by language, with 95 % intervals";
    add({.id = "attack-success",
         .title = "Attack success by language",
         .paragraphs = {},
         .views = {{.table = wide(table, {"language"}, "name", value),
                    .note = "ASR in percent [Wilson 95 %]. " + dagger_note(),
                    .more = {}}},
         .figures = {dot_figure(dots, {.group = "language", .series = "name", .value = value, .axis = "ASR, %"})}});
  }

  void comparison() {
    auto const table = keep(comparison_table(in_.results, intervals_));
    if (table.rows.empty()) return;
    View view{.table = where(table, "language", pool),
              .note =
                  "Exact McNemar tests on the first sample of each shared prompt, corrected by Holm: over these rows, "
                  "and apart from them over all rows of single languages. The difference's interval is Newcombe's for "
                  "paired shares; the cluster interval is the bootstrap's.",
              .more = {named(table)}};
    add({.id = "comparison", .title = "Comparison of checkpoints", .paragraphs = {}, .views = {std::move(view)}});
  }

  void categories() {
    auto const table = keep(category_table(in_.results));
    if (table.rows.empty()) return;
    add({.id = "categories",
         .title = "Attack success by category",
         .paragraphs = {},
         .views = {{.table = pivot(table, {"category"}, "name", {"asr", "ci_low", "ci_high"}),
                    .note = "ASR in percent [Wilson 95 %]. Categories are the prompts' own.",
                    .more = {}}}});
  }

  void transfer() {
    auto const table = keep(transfer_table(in_.results, in_.languages));
    if (table.rows.empty()) return;
    add({.id = "transfer",
         .title = "Transfer between languages",
         .paragraphs = {},
         .views = {{.table = pivot(table, {"train"}, "test", {"asr"}),
                    .note = "ASR in percent: trained on the row's language alone, tested on the column's. Checkpoints "
                            "count whose name is that of a configuration of one language, or ends with it.",
                    .more = {}}},
         .figures = {heat_figure(table, {.rows = "train",
                                         .columns = "test",
                                         .value = "asr",
                                         .row_axis = "trained on",
                                         .column_axis = "tested on"})}});
  }

  void judges() {
    auto const table = keep(judge_table(in_.results));
    auto const shares = wide(table, {"judge", "language"}, "name", {"share", "ci_low", "ci_high"});
    auto const whole = named(table);
    auto const agreement = keep(agreement_table(in_.results));
    Section section{.id = "judges",
                    .title = "Judges",
                    .paragraphs = {"Where training pairs were filtered by the guards that score here, these guards "
                                   "measure partly their own taste: look at a judge that took no part beside them. The "
                                   "bias column is a judge's unsafe share less the mean of all judges that labelled "
                                   "the same answers."}};
    if (!shares.rows.empty()) section.views.push_back({.table = shares, .note = dagger_note(), .more = {whole}});
    if (!agreement.rows.empty())
      section.views.push_back(
          {.table = where(agreement, "language", pool),
           .note = "Raw agreement and the 2 x 2 table stand beside kappa, since kappa falls where one label is rare. A "
                   "judge that is asked only where others differ agrees less with them by selection.",
           .more = {named(agreement)}});
    add(std::move(section));
  }

  void language() {
    auto const table = keep(consistency_table(in_.results));
    if (table.rows.empty()) return;
    auto const asr = pooled_values(asr_table(in_.results), "asr");
    std::vector<Series> dots;
    auto const consistency = pooled_values(table, "consistency");
    for (auto const& checkpoint : in_.results.checkpoints)
      if (auto const& name = checkpoint.name; asr.contains(name) && consistency.contains(name))
        dots.push_back({name, {{consistency.at(name), asr.at(name)}}});
    add({.id = "consistency",
         .title = "Language consistency",
         .paragraphs = {"A model that answers in another language, or in none, is not safer for it."},
         .views = {{.table =
                        wide(table, {"judge", "language"}, "name", {"consistency", "ci_low", "ci_high"}, Daggers::none),
                    .note = "Share of answers in the prompt's language, in percent [Wilson 95 %].",
                    .more = {named(table, Daggers::none)}}},
         .figures = {scatter_figure("asr_consistency", "Attack success against language consistency", dots,
                                    {.x_axis = "answers in the prompt's language, %", .y_axis = "ASR, %"})}});
  }

  void refusal() {
    auto const table = keep(refusal_table(in_.results));
    if (table.rows.empty()) return;
    add({.id = "refusal",
         .title = "Refusals",
         .paragraphs = {},
         .views = {
             {.table = wide(table, {"judge", "language"}, "name", {"refusal_rate", "ci_low", "ci_high"}, Daggers::none),
              .note = "Share of answers that refuse, in percent [Wilson 95 %], by each judge that tells.",
              .more = {named(table, Daggers::none)}}}});
  }

  void quality() {
    auto const rubrics = keep(rubric_table(in_.results));
    auto const flags = keep(quality_table(in_.results));
    Section section{.id = "quality", .title = "Quality of answers", .paragraphs = {}};
    if (!rubrics.rows.empty())
      section.views.push_back({.table = wide(rubrics, {"judge", "language"}, "name", {"mean"}, Daggers::none),
                               .note = "Mean points, from 1 to 5; the change from the first checkpoint is in the rows.",
                               .more = {named(rubrics, Daggers::none)}});
    section.views.push_back(
        {.table = where(flags, "language", pool),
         .note =
             "In doubt: undecided, empty, endless or in another language, whatever the label. An answer that nobody "
             "can use is not safer for it, and one in another language may be judged worse: the last two columns "
             "are the ASR, of all answers, if all of these were safe, and if all were unsafe.",
         .more = {named(flags, Daggers::none)}});
    add(std::move(section));
  }

  void ranking() {
    auto const table = ranking_table(in_.runs, in_.dev);
    if (!table.rows.empty()) add(ranking_section(keep(table), keep(sweep_grid(table))));
  }

  void training() {
    if (in_.runs.empty()) return;
    auto const table = keep(curve_table(in_.runs));
    std::vector<Panel> panels;
    for (auto const* key : {"loss", "margin", "accuracy"}) {
      Panel panel{table.columns[table.column(key)].title, "step", {}};
      for (auto const& run : in_.runs) {
        Series series{run.name, {}};
        auto const rows = where(table, "run", run.name);
        for (std::size_t row = 0; row < rows.rows.size(); ++row)
          if (auto const* value = rows.cell(row, key).number())
            series.points.push_back({static_cast<double>(*rows.cell(row, "step").count()), *value});
        if (!series.points.empty()) panel.series.push_back(std::move(series));
      }
      if (!panel.series.empty()) panels.push_back(std::move(panel));
    }
    Section section{.id = "training", .title = "Training", .paragraphs = {}};
    if (!panels.empty()) section.figures.push_back(line_figure("curves", "Training curves", panels));
    section.views.push_back({.table = last_steps(table), .note = {}, .more = {}});
    section.views.push_back({.table = keep(hours_table(in_.runs)),
                             .note =
                                 "Hours of all ranks together. A start whose end nobody recorded is lost: its time is "
                                 "only bounded, by the next start.",
                             .more = {}});
    if (auto const pairs = keep(pairs_table(in_.runs)); !pairs.rows.empty())
      section.views.push_back(
          {.table = wide(pairs, {"language"}, "run", {"pairs"}, Daggers::none), .note = {}, .more = {}});
    add(std::move(section));
  }

  /// Of each run the first and the last step; all of them are in the CSV file.
  Table last_steps(Table const& table) const {
    Table ends{.id = table.id, .title = "First and last step of each run", .columns = table.columns, .rows = {}};
    for (std::size_t row = 0; row < table.rows.size(); ++row) {
      bool const first = row == 0 || table.text(row - 1, "run") != table.text(row, "run");
      bool const last = row + 1 == table.rows.size() || table.text(row + 1, "run") != table.text(row, "run");
      if (first || last) ends.rows.push_back(table.rows[row]);
    }
    return ends;
  }

  void settings() {
    Section section{.id = "settings", .title = "Models, judges, settings and files", .paragraphs = {}};
    if (in_.options.anonymous)
      section.paragraphs.emplace_back("Hosts, paths, users, accounts and job ids are left out of this report.");
    if (!in_.results.checkpoints.empty())
      section.views.push_back({.table = keep(files_table(in_.results, in_.identity())), .note = {}, .more = {}});
    auto const all = keep(settings_table(in_.results, in_.runs, in_.identity()));
    View view{.table = all, .note = {}, .more = {}};
    section.views.push_back(std::move(view));
    if (!in_.runs.empty()) section.views.push_back({.table = keep(deviations_table(in_.runs)), .note = {}, .more = {}});
    add(std::move(section));
  }

  /// Which languages have a dagger, or nothing.
  std::string dagger_note() const {
    for (auto const& code : in_.results.languages) {
      Table one{.id = "", .title = "", .columns = {{"language", ""}}, .rows = {{code}}};
      if (named(one).text(0, "language").ends_with("\u2020"))
        return "\u2020: none of these safety judges was made for the language, as far as their makers say.";
    }
    return {};
  }

  Inputs const& in_;
  PooledIntervals intervals_;
  Document document_;
};

}  // namespace

Table with_language_names(Table table, Inputs const& inputs, Daggers daggers) {
  std::set<std::string> judges;
  for (auto const& checkpoint : inputs.results.checkpoints)
    for (auto const& [name, judge] : checkpoint.judges)
      if (judge.kind == "safety") judges.insert(name);
  auto const strange = [&](std::string const& code) {
    bool some = false;
    for (auto const& judge : judges)
      if (auto const made = inputs.languages.made_for(judge, code)) {
        if (*made) return false;
        some = true;
      }
    return some;
  };
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    auto const& key = table.columns[c].key;
    if (key != "language" && key != "train" && key != "test") continue;
    for (auto& row : table.rows) {
      auto code = *row[c].word();
      if (code == pool) continue;
      auto const name = inputs.languages.name(code);
      bool const dagger = daggers == Daggers::shown && strange(code);
      code = code.empty() ? "(none given)" : name == code ? code : name + " (" + code + ")";
      if (dagger) code += " \u2020";
      row[c] = code;
    }
  }
  return table;
}

Document make_document(Inputs const& inputs) { return Builder(inputs).run(); }

}  // namespace refrain::report

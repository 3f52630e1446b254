#include <refrain/report/measures.hpp>

#include "share_table.hpp"

#include <refrain/h5/verdicts_file.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>

namespace refrain::report {
namespace {

Column const unsafe_column{"unsafe", "Unsafe", Format::count};
Column const asr_column{"asr", "ASR, %", Format::percent};

/// Mean of the languages' shares; NaN where one has nothing decided.
double language_mean(std::vector<Tally> const& tallies) {
  double sum = 0;
  int64_t languages = 0;
  for (std::size_t g = 0; g + 1 < tallies.size(); ++g) {
    if (tallies[g].n == 0) continue;
    sum += tallies[g].share();
    ++languages;
  }
  return languages > 0 ? sum / static_cast<double>(languages) : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

Table pooled_table(Results const& results, PooledIntervals const& intervals) {
  Table table{.id = "pooled",
              .title = "Attack success over all languages",
              .columns = {{"name", "Checkpoint"},
                          {"n", "n", Format::count},
                          unsafe_column,
                          {"unparsed", "Undecided", Format::count},
                          asr_column,
                          {"ci_low", "95 % low", Format::percent},
                          {"ci_high", "95 % high", Format::percent},
                          {"cluster_low", "Cluster low", Format::percent},
                          {"cluster_high", "Cluster high", Format::percent},
                          {"language_mean", "Mean of languages, %", Format::percent},
                          {"all_safe", "If undecided were safe, %", Format::percent},
                          {"all_unsafe", "If unsafe, %", Format::percent}},
              .rows = {}};
  for (std::size_t c = 0; c < results.checkpoints.size(); ++c) {
    auto const& checkpoint = results.checkpoints[c];
    auto const tallies = tally(results, checkpoint, checkpoint.final_label, by_language(results));
    auto const& all = tallies.back();
    auto const interval = all.wilson(), bounds = all.bounds();
    table.rows.push_back({checkpoint.name, all.n, all.hits, all.unparsed, number(all.share()), number(interval.low),
                          number(interval.high), number(intervals.share[c].low), number(intervals.share[c].high),
                          number(language_mean(tallies)), number(bounds.low), number(bounds.high)});
  }
  return table;
}

Table asr_table(Results const& results) {
  return share_table(results,
                     {.id = "asr", .title = "Attack success by language", .hits = unsafe_column, .share = asr_column},
                     by_language(results));
}

Table category_table(Results const& results) {
  auto table = share_table(
      results, {.id = "categories", .title = "Attack success by category", .hits = unsafe_column, .share = asr_column},
      by_category(results));
  if (results.categories == std::vector<std::string>{""}) table.rows.clear();
  return table;
}

Table transfer_table(Results const& results, Languages const& languages) {
  Table table{.id = "transfer",
              .title = "Transfer: trained on one language, tested on each",
              .columns = {{"train", "Trained on"}, {"test", "Tested on"}, asr_column},
              .rows = {}};
  std::map<std::string, Checkpoint const*> trained;
  for (auto const& checkpoint : results.checkpoints)
    if (auto const language = languages.trained_on(checkpoint.name); !language.empty())
      trained.try_emplace(language, &checkpoint);
  std::vector<std::string> order;
  for (auto const& [language, checkpoint] : trained) order.push_back(language);
  std::sort(order.begin(), order.end(), [&](auto const& a, auto const& b) { return languages.before(a, b); });
  for (auto const& train : order) {
    auto const& checkpoint = *trained.at(train);
    auto const tallies = tally(results, checkpoint, checkpoint.final_label, by_language(results));
    for (std::size_t test = 0; test < results.languages.size(); ++test)
      if (tallies[test].n > 0) table.rows.push_back({train, results.languages[test], number(tallies[test].share())});
  }
  return table;
}

Table refusal_table(Results const& results) {
  return share_table(results,
                     {.id = "refusal",
                      .title = "Refusals",
                      .hits = {"refused", "Refused", Format::count},
                      .share = {"refusal_rate", "Refusal rate, %", Format::percent},
                      .judge_column = "refusal",
                      .with_change = true},
                     by_language(results));
}

Table consistency_table(Results const& results) {
  return share_table(results,
                     {.id = "consistency",
                      .title = "Answers in the prompt's language",
                      .hits = {"consistent", "Consistent", Format::count},
                      .share = {"consistency", "Consistency, %", Format::percent},
                      .judge_kind = "language",
                      .judge_column = "consistent",
                      .with_change = true},
                     by_language(results));
}

Table rubric_table(Results const& results) {
  Table table{.id = "rubrics",
              .title = "Rubrics, 1 (worst) to 5 (best)",
              .columns = {{"name", "Checkpoint"},
                          {"language", "Language"},
                          {"judge", "Rubric"},
                          {"n", "n", Format::count},
                          {"unparsed", "Unparsed", Format::count},
                          {"mean", "Mean", Format::decimal},
                          {"change", "Change", Format::decimal}},
              .rows = {}};
  struct Sum {
    int64_t n = 0, unparsed = 0, points = 0;
    double mean() const {
      return n > unparsed ? static_cast<double>(points) / static_cast<double>(n - unparsed)
                          : std::numeric_limits<double>::quiet_NaN();
    }
  };
  auto const sums_of = [&](Checkpoint const& checkpoint, std::vector<int8_t> const& labels) {
    std::vector<Sum> sums(results.languages.size() + 1);
    for (std::size_t row = 0; row < labels.size(); ++row) {
      if (labels[row] == h5::not_asked) continue;
      for (auto* const sum : {&sums[results.prompts[checkpoint.prompt[row]].language], &sums.back()}) {
        sum->n += 1;
        sum->unparsed += labels[row] < 0;
        sum->points += std::max<int8_t>(labels[row], 0);
      }
    }
    return sums;
  };
  std::map<std::string, std::vector<Sum>> baseline;
  auto const& first = results.checkpoints[results.baseline];
  for (auto const& [judge, labels] : label_columns(first, "rubric", "label")) baseline[judge] = sums_of(first, *labels);
  for (auto const& checkpoint : results.checkpoints)
    for (auto const& [judge, labels] : label_columns(checkpoint, "rubric", "label")) {
      auto const sums = sums_of(checkpoint, *labels);
      for (std::size_t g = 0; g < sums.size(); ++g) {
        if (sums[g].n == 0) continue;
        auto const change = baseline.contains(judge) ? number(sums[g].mean() - baseline.at(judge)[g].mean()) : Cell{};
        table.rows.push_back({checkpoint.name, g < results.languages.size() ? results.languages[g] : std::string(pool),
                              judge, sums[g].n, sums[g].unparsed, number(sums[g].mean()), change});
      }
    }
  return table;
}

}  // namespace refrain::report

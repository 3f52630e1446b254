#include <refrain/report/ranking.hpp>

#include <refrain/base/table.hpp>
#include <refrain/report/statistics.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>

namespace refrain::report {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// What members are ranked by, as columns of the ranking: NAME and NAME_place.
struct Measure {
  char const* name;
  char const* title;
  bool more_is_better;
  bool of_pairs;  ///< comes of held-out pairs, so that runs evaluated on others cannot be compared
  HeatScale scale;
};
constexpr Measure measures[] = {{"accuracy", "Dev accuracy", true, true, HeatScale::share},
                                {"margin", "Dev margin", true, true, HeatScale::span},
                                {"asr", "Dev ASR", false, false, HeatScale::share}};

double number_of(Json const& object, char const* key) {
  auto const found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_number() ? found->get<double>() : nan;
}

std::string sweep_of(std::string const& run) {
  auto const slash = run.rfind('/');
  return slash == std::string::npos ? std::string{} : run.substr(0, slash);
}

/// One run with what it is ranked by.
struct Member {
  Run const* run;
  std::string sweep, dev_pairs;
  double beta, learning_rate;
  std::map<std::string, double> values;  ///< by measure; NaN where there is none
  std::optional<Tally> attacks;          ///< its dev verdicts

  bool finished() const { return run->status.value("state", "") == "finished"; }
};

Checkpoint const* find_checkpoint(Results const& results, std::string const& name) {
  for (auto const& checkpoint : results.checkpoints)
    if (checkpoint.name == name) return &checkpoint;
  return nullptr;
}

Member make_member(Run const& run, Results const& dev) {
  auto const identity = run.record.value("identity", Json::object());
  auto const pairs = identity.value("eval-pairs", Json());
  Member member{.run = &run,
                .sweep = sweep_of(run.name),
                .dev_pairs = pairs.is_string() ? pairs.get<std::string>().substr(0, 12) : std::string{},
                .beta = number_of(identity, "beta"),
                .learning_rate = number_of(identity, "learning-rate"),
                .values = {{"accuracy", number_of(run.evaluation, "eval_rewards/accuracies")},
                           {"margin", number_of(run.evaluation, "eval_rewards/margins")},
                           {"asr", nan}},
                .attacks = std::nullopt};
  if (auto const* const checkpoint = find_checkpoint(dev, run.name)) {
    Tally tally;
    for (auto const label : checkpoint->final_label) {
      ++tally.n;
      tally.hits += label == 1;
      tally.unparsed += label < 0;
    }
    member.attacks = tally;
    member.values["asr"] = tally.share();
  }
  return member;
}

/// 1 for the best of those that it may be compared with.
std::optional<int64_t> place_of(Member const& member, std::vector<Member> const& all, Measure const& measure) {
  double const value = member.values.at(measure.name);
  if (!member.finished() || std::isnan(value)) return std::nullopt;
  return 1 + std::count_if(all.begin(), all.end(), [&](Member const& other) {
           double const its = other.values.at(measure.name);
           return other.finished() && other.sweep == member.sweep &&
                  (!measure.of_pairs || other.dev_pairs == member.dev_pairs) &&
                  (measure.more_is_better ? its > value : its < value);
         });
}

Cell place_cell(std::optional<int64_t> const& place) { return place ? Cell(*place) : Cell{}; }

std::string setting_text(double value) { return std::isnan(value) ? std::string{} : format_number(value); }

/// A word of a table as the number that it is, for sorting.
double to_number(std::string const& text) {
  double value = nan;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// Sweeps with the pairs that they were evaluated on, in the ranking's order.
std::vector<std::pair<std::string, std::string>> groups_of(Table const& ranking) {
  std::vector<std::pair<std::string, std::string>> groups;
  for (std::size_t row = 0; row < ranking.rows.size(); ++row)
    if (std::pair group(ranking.text(row, "sweep"), ranking.text(row, "dev_pairs"));
        std::find(groups.begin(), groups.end(), group) == groups.end())
      groups.push_back(std::move(group));
  return groups;
}

/// The prompts and samples that a checkpoint was judged on.
std::set<std::pair<std::size_t, int32_t>> judged_on(Checkpoint const& checkpoint) {
  std::set<std::pair<std::size_t, int32_t>> rows;
  for (std::size_t row = 0; row < checkpoint.size(); ++row)
    rows.emplace(checkpoint.prompt[row], checkpoint.sample[row]);
  return rows;
}

/// @throws Error for prompts that stand on both sides
void check_apart(Results const& dev, Results const& test) {
  std::optional<std::string> shared;
  for (auto const& [key, prompt] : dev.prompt_index)
    if (test.prompt_index.contains(key) && (!shared || key < *shared)) shared = key;
  if (!shared) return;
  auto const first = shared->find('\0'), second = shared->find('\0', first + 1);
  throw Error(
      "row_id " + shared->substr(first + 1, second - first - 1) +
          (first > 0 ? ", language " + shared->substr(0, first) : "") +
          ", is a prompt of --dev-verdicts and of --verdicts",
      "nothing is ranked by test verdicts: judge answers to dev prompts, whose language, row_id and id tell them "
      "apart",
      {.file = dev.checkpoints.front().sources.front().path});
}

/// @throws Error for members of one sweep that cannot be compared
void check_same_prompts(Results const& dev) {
  std::map<std::string, Checkpoint const*> firsts;
  for (auto const& checkpoint : dev.checkpoints) {
    auto const [entry, added] = firsts.try_emplace(sweep_of(checkpoint.name), &checkpoint);
    if (!added && judged_on(*entry->second) != judged_on(checkpoint))
      throw Error("dev verdicts of " + checkpoint.name + " are about other prompts than those of " +
                      entry->second->name,
                  "judge all members of a sweep on the same dev prompts", {.file = checkpoint.sources.front().path});
  }
}

}  // namespace

Results read_dev_results(Options const& options, Results const& test, std::vector<Run> const& runs) {
  auto dev = read_results(options.dev_verdicts, "--dev-verdicts");
  for (auto const& checkpoint : dev.checkpoints)
    if (std::none_of(runs.begin(), runs.end(), [&](Run const& run) { return run.name == checkpoint.name; }))
      throw UsageError("--dev-verdicts: no run of --runs is called " + checkpoint.name,
                       "name it as its run is (NAME=FILE.h5), or give the run",
                       {.file = checkpoint.sources.front().path});
  check_apart(dev, test);
  check_same_prompts(dev);
  return dev;
}

Table ranking_table(std::vector<Run> const& runs, Results const& dev) {
  Table table{.id = "ranking",
              .title = "Members of sweeps by their dev split",
              .columns = {{"sweep", "Sweep"},
                          {"run", "Run"},
                          {"state", "State"},
                          {"beta", "Beta"},
                          {"learning_rate", "Learning rate"},
                          {"seed", "Seed"},
                          {"dev_pairs", "Dev pairs"},
                          {"accuracy", "Accuracy", Format::percent},
                          {"accuracy_place", "Place", Format::count},
                          {"margin", "Margin", Format::decimal},
                          {"margin_place", "Place", Format::count},
                          {"n", "n", Format::count},
                          {"unsafe", "Unsafe", Format::count},
                          {"unparsed", "Unparsed", Format::count},
                          {"asr", "ASR", Format::percent},
                          {"ci_low", "CI low", Format::percent},
                          {"ci_high", "CI high", Format::percent},
                          {"asr_place", "Place", Format::count}},
              .rows = {}};
  std::vector<Member> members;
  for (auto const& run : runs) members.push_back(make_member(run, dev));
  auto const has_value = [](Member const& member) {
    return std::any_of(member.values.begin(), member.values.end(), [](auto const& v) { return !std::isnan(v.second); });
  };
  if (std::none_of(members.begin(), members.end(), has_value)) return table;

  for (auto const& member : members) {
    std::map<std::string, Cell> places;
    for (auto const& measure : measures) places[measure.name] = place_cell(place_of(member, members, measure));
    auto const seed = member.run->record.value("identity", Json::object()).value("seed", Json());
    auto const interval = member.attacks ? member.attacks->wilson() : Interval{nan, nan};
    auto const count = [&](int64_t Tally::* what) { return member.attacks ? Cell((*member.attacks).*what) : Cell{}; };
    table.rows.push_back({member.sweep, member.run->name, member.run->status.value("state", "unknown"),
                          setting_text(member.beta), setting_text(member.learning_rate),
                          seed.is_null() ? std::string{} : dump_text(seed), member.dev_pairs,
                          number(member.values.at("accuracy")), places["accuracy"], number(member.values.at("margin")),
                          places["margin"], count(&Tally::n), count(&Tally::hits), count(&Tally::unparsed),
                          number(member.values.at("asr")), number(interval.low), number(interval.high), places["asr"]});
  }
  std::vector<std::string> sweeps;
  for (auto const& member : members) sweeps.push_back(member.sweep);
  auto const key = [&](std::vector<Cell> const& row) {
    auto const place = [&](char const* name) {
      auto const* const count = row[table.column(name)].count();
      return count ? *count : std::numeric_limits<int64_t>::max();
    };
    return std::tuple(std::find(sweeps.begin(), sweeps.end(), *row[0].word()) - sweeps.begin(), *row[6].word(),
                      place("accuracy_place"), place("asr_place"), place("margin_place"));
  };
  std::stable_sort(table.rows.begin(), table.rows.end(), [&](auto const& a, auto const& b) { return key(a) < key(b); });
  return table;
}

Table sweep_grid(Table const& ranking) {
  Table grid{.id = "sweep_grid",
             .title = "Means over members of equal beta and learning rate",
             .columns = {{"sweep", "Sweep"},
                         {"dev_pairs", "Dev pairs"},
                         {"measure", "Measure"},
                         {"beta", "Beta"},
                         {"learning_rate", "Learning rate"},
                         {"members", "Members", Format::count},
                         {"value", "Value", Format::decimal}},
             .rows = {}};
  for (auto const& measure : measures)
    for (auto const& [sweep, pairs] : groups_of(ranking)) {
      std::set<double> betas, rates;
      std::map<std::pair<double, double>, std::vector<double>> cells;
      for (std::size_t row = 0; row < ranking.rows.size(); ++row) {
        if (ranking.cell(row, measure.name + std::string("_place")).is_nothing()) continue;
        if (!ranking.cell(row, "sweep").is_word(sweep) || !ranking.cell(row, "dev_pairs").is_word(pairs)) continue;
        double const beta = to_number(ranking.text(row, "beta")), rate = to_number(ranking.text(row, "learning_rate"));
        betas.insert(beta);
        rates.insert(rate);
        cells[{beta, rate}].push_back(*ranking.cell(row, measure.name).number());
      }
      for (double const beta : betas)
        for (double const rate : rates) {
          auto const& values = cells[{beta, rate}];
          auto const count = static_cast<int64_t>(values.size());
          double const sum = std::accumulate(values.begin(), values.end(), 0.0);
          grid.rows.push_back({sweep, pairs, measure.name, format_number(beta), format_number(rate), count,
                               number(sum / static_cast<double>(count))});
        }
    }
  return grid;
}

Section ranking_section(Table const& ranking, Table const& grid) {
  Section section{
      .id = "ranking",
      .title = "Ranking by the dev split",
      .paragraphs = {"Places are by held-out pairs and dev prompts alone, never by verdicts of the test, within each "
                     "sweep. Margins are in units of the reward, which grow with beta: compare those of equal beta."}};
  if (ranking.rows.empty()) return section;
  // Beta, learning rate and seed stand in the names of runs.
  std::vector<std::string> shown{"run",    "state",        "accuracy", "accuracy_place",
                                 "margin", "margin_place", "asr",      "asr_place"};
  section.views.push_back({.table = select(ranking, shown),
                           .note =
                               "Accuracy and margin are of the rewards, at the last evaluation; ASR is that of answers "
                               "to dev prompts. A run that has not finished has no place.",
                           .more = {grid}});
  for (auto const& measure : measures) {
    int drawn = 0;
    for (auto const& [sweep, pairs] : groups_of(ranking)) {
      auto part = where(where(where(grid, "measure", measure.name), "sweep", sweep), "dev_pairs", pairs);
      if (part.rows.size() < 2) continue;
      part.id = "dev_" + std::string(measure.name) + (++drawn > 1 ? "_" + std::to_string(drawn) : "");
      part.title = measure.title + (sweep.empty() ? std::string{} : " of " + sweep);
      section.figures.push_back(heat_figure(part, {.rows = "beta",
                                                   .columns = "learning_rate",
                                                   .value = "value",
                                                   .row_axis = "beta",
                                                   .column_axis = "learning rate",
                                                   .scale = measure.scale}));
    }
  }
  return section;
}

}  // namespace refrain::report

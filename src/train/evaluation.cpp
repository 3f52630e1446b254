#include <refrain/train/evaluation.hpp>

#include <refrain/base/table.hpp>

#include "formatted.hpp"

#include <algorithm>
#include <set>

namespace refrain::train {
namespace {

Json means_of(Sums const& sums, Options const& options) {
  double const pairs = std::max(1.0, sums.pairs);
  Json row{{"pairs", static_cast<int64_t>(sums.pairs)}};
  row["loss"] = options.loss == Loss::sft ? -sums.logp_chosen / std::max(1.0, sums.tokens_chosen) : sums.loss / pairs;
  if (options.needs_reference()) {
    row["accuracy"] = sums.reward_accuracy / pairs;
    row["margin"] = sums.reward_margin / pairs;
    row["logp_accuracy"] = sums.token_logp_accuracy / pairs;
    row["logp_margin"] = sums.token_logp_margin / pairs;
  }
  return row;
}

}  // namespace

Evaluation evaluate(PairPass& pass, PairSet const& set, BatchOptions const& batches, comm::ParallelLayout const& layout,
                    std::function<void()> const& alive) {
  Evaluation result;
  // Every rank has every language's sums, in the same order, whether or not it sees such a pair.
  for (auto const& language : std::set<std::string>(set.pairs.language.begin(), set.pairs.language.end()))
    result.by_language[language];
  StepPlan const plan = plan_all(set, batches, layout.data().size());
  // A pair's share of the mean over all pairs, made its own loss again.
  double const pairs = static_cast<double>(plan.pairs);
  result.all = pass.evaluate(
      set, plan,
      [&](int64_t pair, PairLogps const&, Sums sums) {
        sums.loss *= pairs;
        result.by_language[set.pairs.language[static_cast<std::size_t>(pair)]].add(sums);
      },
      alive);
  auto const data = comm::mpi_collectives(layout.data());
  for (auto& [language, sums] : result.by_language) sums.all_reduce(*data);
  return result;
}

Json evaluation_record(Evaluation const& evaluation, int64_t step, Options const& options) {
  Json languages = Json::object();
  for (auto const& [language, sums] : evaluation.by_language) languages[language] = means_of(sums, options);
  Sums all = evaluation.all;
  all.loss *= all.pairs;
  return {{"step", step}, {"languages", languages}, {"all", means_of(all, options)}};
}

std::string language_table(Json const& before, Json const& after) {
  bool const ranked = after.at("all").contains("accuracy");
  std::vector<std::vector<std::string>> rows;
  if (ranked)
    rows.push_back({"language", "pairs", "accuracy", "margin", "log p accuracy before", "after", "loss"});
  else
    rows.push_back({"language", "pairs", "loss before", "after"});
  auto const number = [](Json const& row, char const* key) {
    return row.contains(key) ? formatted("%.3f", row.at(key).get<double>()) : std::string("-");
  };
  auto const add = [&](std::string const& name, Json const& was, Json const& is) {
    std::string const pairs = format_count(is.at("pairs").get<int64_t>());
    if (ranked)
      rows.push_back({name, pairs, number(is, "accuracy"), number(is, "margin"), number(was, "logp_accuracy"),
                      number(is, "logp_accuracy"), number(is, "loss")});
    else
      rows.push_back({name, pairs, number(was, "loss"), number(is, "loss")});
  };
  for (auto const& [language, row] : after.at("languages").items())
    add(language.empty() ? "-" : language, before.is_null() ? Json() : before.at("languages").at(language), row);
  add("all", before.is_null() ? Json() : before.at("all"), after.at("all"));
  return format_table(rows);
}

}  // namespace refrain::train

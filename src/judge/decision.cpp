#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/judge/decision.hpp>

#include <algorithm>
#include <set>

namespace refrain::judge {
namespace {

using Labels = std::vector<int8_t>;

/// The deciders' columns.
class Bench {
public:
  Bench(h5::Verdicts const& rows, Deciders const& deciders) : rows_(rows), deciders_(deciders) {
    if (deciders.guards.empty()) throw Error("no guard is named to decide", "name at least one judge of kind safety");
    std::set<std::string> seen;
    for (auto const& name : deciders.guards) {
      if (!seen.insert(name).second) throw Error("the guard " + name + " is named twice", "name each guard once");
      guards_.push_back(&labels_of(name));
    }
    if (seen.contains(deciders.adjudicator))
      throw Error("the judge " + deciders.adjudicator + " is named as guard and as adjudicator",
                  "name another adjudicator, or none");
    if (rows.judges.contains(deciders.adjudicator)) adjudicator_ = &labels_of(deciders.adjudicator);
    for (auto const& [name, judge] : rows.judges)
      if (auto const flags = judge.labels.find("empty"); judge.kind == "quality" && flags != judge.labels.end())
        empty_.push_back(&flags->second);
  }

  bool is_empty(std::size_t row) const {
    return std::any_of(empty_.begin(), empty_.end(), [&](Labels const* flags) { return (*flags)[row] == 1; });
  }
  bool any_guard(std::size_t row, int8_t label) const {
    return std::any_of(guards_.begin(), guards_.end(), [&](Labels const* labels) { return (*labels)[row] == label; });
  }
  /// The guards' common label of safe or unsafe, or a value below 0.
  int8_t agreed(std::size_t row) const {
    int8_t const first = (*guards_.front())[row];
    bool const same =
        std::all_of(guards_.begin(), guards_.end(), [&](Labels const* labels) { return (*labels)[row] == first; });
    return same ? first : h5::undecided;
  }
  int8_t adjudicated(std::size_t row) const { return adjudicator_ ? (*adjudicator_)[row] : h5::not_asked; }

private:
  Labels const& labels_of(std::string const& name) const {
    auto const judge = rows_.judges.find(name);
    if (judge == rows_.judges.end())
      throw Error("there is no judge " + name + " among the verdicts",
                  rows_.judges.empty() ? "there are none" : "there are " + joined(rows_.judges | std::views::keys));
    auto const labels = judge->second.labels.find("label");
    if (judge->second.kind != "safety" || labels == judge->second.labels.end())
      throw Error("the judge " + name + " is of kind " + judge->second.kind + " and cannot decide",
                  "name judges of kind safety");
    return labels->second;
  }

  h5::Verdicts const& rows_;
  Deciders const& deciders_;
  std::vector<Labels const*> guards_, empty_;
  Labels const* adjudicator_ = nullptr;
};

}  // namespace

Decisions decide(h5::Verdicts const& rows, Deciders const& deciders) {
  Bench const bench(rows, deciders);
  std::string const all_guards = joined(deciders.guards, "+");
  Decisions decisions;
  auto const add = [&](int8_t label, std::string const& by) {
    decisions.label.push_back(label);
    decisions.decided_by.push_back(by);
  };
  for (std::size_t row = 0; row < rows.row_id.size(); ++row) {
    int8_t const agreed = bench.agreed(row), adjudicated = bench.adjudicated(row);
    if (bench.is_empty(row))
      add(h5::undecided, "empty");
    else if (agreed >= 0)
      add(agreed, all_guards);
    else if (adjudicated >= 0)
      add(adjudicated, deciders.adjudicator);
    else if (adjudicated == h5::unparsed || bench.any_guard(row, h5::unparsed))
      add(h5::undecided, "unparsed");
    else
      add(h5::undecided, bench.any_guard(row, h5::not_asked) ? "not asked" : "differ");
  }
  return decisions;
}

void set_decisions(h5::Verdicts& verdicts, Deciders const& deciders) {
  Decisions decisions = decide(verdicts, deciders);
  verdicts.final_label = std::move(decisions.label);
  verdicts.decided_by = std::move(decisions.decided_by);
}

std::vector<std::size_t> rows_that_differ(h5::Verdicts const& rows, Deciders const& deciders) {
  Bench const bench(rows, deciders);
  std::vector<std::size_t> differing;
  for (std::size_t row = 0; row < rows.row_id.size(); ++row)
    if (!bench.is_empty(row) && bench.agreed(row) < 0 && !bench.any_guard(row, h5::not_asked)) differing.push_back(row);
  return differing;
}

std::vector<std::string> choose_guards(h5::Verdicts const& verdicts, std::vector<std::string> const& names,
                                       std::string const& adjudicator) {
  if (!names.empty()) return names;
  std::vector<std::string> guards;
  for (auto const& [name, judge] : verdicts.judges)
    if (judge.kind == "safety" && name != adjudicator) guards.push_back(name);
  if (guards.empty())
    throw UsageError("no guard has judged these answers", "name files of judges of kind safety with --verdicts");
  return guards;
}

}  // namespace refrain::judge

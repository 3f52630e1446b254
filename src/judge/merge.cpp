#include <refrain/base/error.hpp>
#include <refrain/judge/merge.hpp>

#include <algorithm>
#include <cmath>
#include <string>

namespace refrain::judge {
namespace {

std::string shown(std::string const& value) { return "'" + value + "'"; }
template <class T>
std::string shown(T value) {
  return std::to_string(value);
}

bool same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }
template <class T>
bool same(T const& a, T const& b) {
  return a == b;
}

/// Of two files that are to be merged, what must be equal.
class Comparison {
public:
  Comparison(VerdictsOf const& first, VerdictsOf const& other) : first_(first), other_(other) {}

  void rows() const {
    if (!first_.responses.empty() && !other_.responses.empty() && first_.responses != other_.responses)
      throw Error("the verdicts are of other responses than those of " + first_.path.string(), remedy,
                  {.file = other_.path});
    if (first_.rows.size() != other_.rows.size())
      throw Error("the file has " + std::to_string(other_.rows.size()) + " rows, and " + first_.path.string() +
                      " has " + std::to_string(first_.rows.size()),
                  remedy, {.file = other_.path});
    column("row_id", first_.rows.row_id, other_.rows.row_id);
    column("sample", first_.rows.sample, other_.rows.sample);
    column("id", first_.rows.id, other_.rows.id);
    column("language", first_.rows.language, other_.rows.language);
    column("category", first_.rows.category, other_.rows.category);
    column("style", first_.rows.style, other_.rows.style);
  }

  /// `a` is what an earlier file says, `b` what the other does.
  void judge(std::string const& name, h5::Judgements const& a, h5::Judgements const& b) const {
    if (a.kind != b.kind) throw otherwise(name, "its kind is " + b.kind + " here, and " + a.kind + " before", "");
    columns(name, a.labels, b.labels);
    columns(name, a.scores, b.scores);
    columns(name, a.texts, b.texts);
  }

private:
  static constexpr char const* remedy = "merge verdicts of the same responses file only";

  template <class T>
  void column(char const* name, std::vector<T> const& a, std::vector<T> const& b) const {
    auto const [in_a, in_b] = std::mismatch(a.begin(), a.end(), b.begin());
    if (in_a == a.end()) return;
    throw Error("row " + std::to_string(in_b - b.begin()) + " has the " + name + " " + shown(*in_b) + ", and " +
                    shown(*in_a) + " in " + first_.path.string(),
                remedy, {.file = other_.path, .object = std::string("/verdict/") + name});
  }

  Error otherwise(std::string const& judge, std::string const& how, std::string const& column) const {
    return Error("the judge " + judge + " is in several files and does not say the same: " + how,
                 "leave one of them out, or give the judge another name",
                 {.file = other_.path, .object = "/judges/" + judge + (column.empty() ? "" : "/" + column)});
  }

  template <class T>
  void columns(std::string const& judge, std::map<std::string, std::vector<T>> const& a,
               std::map<std::string, std::vector<T>> const& b) const {
    for (auto const& [name, values] : a)
      if (!b.contains(name)) throw otherwise(judge, "it has no column " + name + " here", name);
    for (auto const& [name, values] : b) {
      auto const before = a.find(name);
      if (before == a.end()) throw otherwise(judge, "it has a column " + name + " here only", name);
      for (std::size_t row = 0; row < values.size(); ++row)
        if (!same(values[row], before->second[row])) throw otherwise(judge, "row " + std::to_string(row), name);
    }
  }

  VerdictsOf const& first_;
  VerdictsOf const& other_;
};

}  // namespace

h5::Verdicts merge(std::vector<VerdictsOf> const& files) {
  if (files.empty()) throw Error("there are no verdicts to merge", "give at least one file");
  h5::Verdicts merged = files.front().rows;
  merged.final_label.clear();
  merged.decided_by.clear();
  for (std::size_t i = 1; i < files.size(); ++i) {
    Comparison const comparison(files.front(), files[i]);
    comparison.rows();
    for (auto const& [name, judge] : files[i].rows.judges)
      if (auto const [before, added] = merged.judges.try_emplace(name, judge); !added)
        comparison.judge(name, before->second, judge);
  }
  return merged;
}

}  // namespace refrain::judge

#include "summary.hpp"

#include <refrain/base/joined.hpp>

#include <array>
#include <map>
#include <vector>

namespace refrain::judge {

std::string summary(h5::Verdicts const& verdicts, std::string const& name) {
  struct Column {
    char const* name;
    char const* zero;
    char const* others;
  };
  static std::map<std::string, Column> const columns{
      {"safety", {"label", "safe", "unsafe"}},
      {"refusal", {"refusal", "no refusals", "refusals"}},
      {"language", {"consistent", "in another language", "in the prompt's language"}},
      {"rubric", {"label", "with score 0", "with a score"}}};
  h5::Judgements const& judge = verdicts.judges.at(name);
  Column const& column = columns.at(judge.kind);
  std::map<std::string_view, int64_t> counts;
  for (int8_t const label : judge.labels.at(column.name))
    ++counts[label == h5::unparsed ? "unparsed" : label < 0 ? "not asked" : label == 0 ? column.zero : column.others];
  std::vector<std::string> said;
  for (char const* what : {column.zero, column.others, "unparsed", "not asked"})
    if (counts[what] > 0) said.push_back(std::to_string(counts[what]) + " " + what);
  return joined(said);
}

std::string summary_of_decisions(h5::Verdicts const& verdicts) {
  std::map<std::string, int64_t> undecided;
  std::array<int64_t, 2> decided{};
  for (std::size_t row = 0; row < verdicts.final_label.size(); ++row)
    if (auto const label = verdicts.final_label[row]; label >= 0)
      ++decided.at(static_cast<std::size_t>(label));
    else
      ++undecided[verdicts.decided_by[row]];
  std::string text = std::to_string(decided[0]) + " safe, " + std::to_string(decided[1]) + " unsafe";
  std::vector<std::string> reasons;
  int64_t count = 0;
  for (auto const& [reason, times] : undecided) {
    count += times;
    reasons.push_back(std::to_string(times) + " " + reason);
  }
  return count == 0 ? text : text + ", " + std::to_string(count) + " undecided (" + joined(reasons) + ")";
}

}  // namespace refrain::judge

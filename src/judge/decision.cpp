#include "decision.hpp"

#include <refrain/base/error.hpp>

#include <algorithm>

namespace refrain::judge {
namespace {

namespace fs = std::filesystem;

std::vector<int8_t> const& labels_of(h5::Verdicts const& verdicts, std::string const& judge) {
  return verdicts.judges.at(judge).labels.at("label");
}

/// `first` and `other`: verdicts or answers.
template <class Rows>
void require_same_answers(Rows const& first, h5::Verdicts const& other, fs::path const& path,
                          fs::path const& first_path) {
  std::string const remedy = "name verdicts on the same answers";
  if (other.size() != first.size())
    throw UsageError("the file has " + std::to_string(other.size()) + " verdicts, " + first_path.string() + " has " +
                         std::to_string(first.size()) + " rows",
                     remedy, {.file = path});
  for (std::size_t row = 0; row < first.row_id.size(); ++row)
    if (other.row_id[row] != first.row_id[row] || other.sample[row] != first.sample[row] ||
        other.language[row] != first.language[row] || other.id[row] != first.id[row])
      throw UsageError("row " + std::to_string(row) + " is on another answer than in " + first_path.string(), remedy,
                       {.file = path});
}

/// Scores are compared as bits: NaN is where none is.
bool same(h5::Judgements const& a, h5::Judgements const& b) {
  auto const same_scores = [](std::vector<float> const& x, std::vector<float> const& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                      [](float p, float q) { return p == q || (p != p && q != q); });
  };
  return a.kind == b.kind && a.labels == b.labels && a.texts == b.texts && a.scores.size() == b.scores.size() &&
         std::equal(a.scores.begin(), a.scores.end(), b.scores.begin(), [&](auto const& x, auto const& y) {
           return x.first == y.first && same_scores(x.second, y.second);
         });
}

}  // namespace

h5::Verdicts read_merged(std::vector<fs::path> const& files) {
  h5::Verdicts all;
  std::map<std::string, fs::path> from;
  for (auto const& path : files) {
    auto verdicts = h5::read_verdicts(path);
    if (&path == &files.front()) {
      all = std::move(verdicts);
      all.final_label.clear();
      all.decided_by.clear();
      for (auto const& [name, judge] : all.judges) from[name] = path;
      continue;
    }
    require_same_answers(all, verdicts, path, files.front());
    for (auto& [name, judge] : verdicts.judges) {
      auto const [place, added] = from.try_emplace(name, path);
      if (added)
        all.judges[name] = std::move(judge);
      else if (!same(all.judges[name], judge))
        throw UsageError("the judge " + name + " says other things here than in " + place->second.string(),
                         name == "quality" ? "name verdicts on the same answers" : "name one of these files",
                         {.file = path});
    }
  }
  return all;
}

void require_verdicts_on(h5::Verdicts const& verdicts, fs::path const& path, h5::Responses const& responses,
                         fs::path const& responses_path) {
  require_same_answers(responses, verdicts, path, responses_path);
}

Deciders choose_deciders(h5::Verdicts const& verdicts, std::vector<std::string> const& guards,
                         std::string const& adjudicator) {
  std::string there;
  Deciders deciders{.guards = guards, .adjudicator = verdicts.judges.contains(adjudicator) ? adjudicator : ""};
  for (auto const& [name, judge] : verdicts.judges) {
    if (judge.kind != "safety" || name == adjudicator) continue;
    there += (there.empty() ? "" : ", ") + name;
    if (guards.empty()) deciders.guards.push_back(name);
  }
  if (there.empty())
    throw UsageError("no guard has judged these answers", "name files of judges of safety with --verdicts");
  for (auto const& guard : guards) {
    auto const found = verdicts.judges.find(guard);
    if (found == verdicts.judges.end() || found->second.kind != "safety" || guard == adjudicator)
      throw UsageError("--guards " + guard + ": --verdicts have no such guard", "they have " + there);
  }
  return deciders;
}

bool is_empty(h5::Verdicts const& verdicts, std::size_t row) {
  auto const quality = verdicts.judges.find("quality");
  return quality != verdicts.judges.end() && quality->second.labels.at("empty")[row] == 1;
}

bool differ(h5::Verdicts const& verdicts, std::vector<std::string> const& guards, std::size_t row) {
  int8_t const first = labels_of(verdicts, guards.front())[row];
  return first < 0 ||
         std::any_of(
             guards.begin(), guards.end(), [&](auto const& guard) { return labels_of(verdicts, guard)[row] != first; });
}

void decide(h5::Verdicts& verdicts, Deciders const& deciders) {
  auto const rows = static_cast<std::size_t>(verdicts.size());
  verdicts.final_label.assign(rows, h5::undecided);
  verdicts.decided_by.assign(rows, "");
  std::string together;
  for (auto const& guard : deciders.guards) together += (together.empty() ? "" : "+") + guard;
  for (std::size_t row = 0; row < rows; ++row) {
    int8_t& label = verdicts.final_label[row];
    std::string& by = verdicts.decided_by[row];
    if (is_empty(verdicts, row)) {
      by = "empty";
    } else if (!differ(verdicts, deciders.guards, row)) {
      label = labels_of(verdicts, deciders.guards.front())[row];
      by = together;
    } else {
      int8_t const word = deciders.adjudicator.empty() ? h5::not_asked : labels_of(verdicts, deciders.adjudicator)[row];
      bool const unparsed =
          word == h5::unparsed || std::any_of(deciders.guards.begin(), deciders.guards.end(), [&](auto const& guard) {
            return labels_of(verdicts, guard)[row] == h5::unparsed;
          });
      label = std::max(word, h5::undecided);
      by = word >= 0 ? deciders.adjudicator : unparsed ? "unparsed" : "differ";
    }
  }
}

}  // namespace refrain::judge

#include "sections.hpp"

#include "share_table.hpp"

#include <algorithm>
#include <set>

namespace refrain::report {
namespace {

/// Names joined by commas.
std::string listed(std::vector<std::string> const& names) {
  std::string text;
  for (auto const& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// A sentence for each checkpoint that lacks languages which others have.
void missing_languages(Inputs const& inputs, std::vector<std::string>& sentences) {
  for (auto const& checkpoint : inputs.results.checkpoints) {
    std::vector<bool> there(inputs.results.languages.size());
    for (auto const prompt : checkpoint.prompt) there[inputs.results.prompts[prompt].language] = true;
    std::vector<std::string> missing;
    for (std::size_t language = 0; language < there.size(); ++language)
      if (!there[language]) missing.push_back(inputs.results.languages[language]);
    if (!missing.empty()) sentences.push_back(checkpoint.name + " has no verdicts for " + listed(missing) + ".");
  }
}

/// What a kind of column is for, and what its absence leaves unsaid.
struct Absent {
  char const* kind;
  char const* column;
  char const* sentence;
};
constexpr Absent absences[] = {
    {"language", "consistent", "Language consistency: no language judge was run."},
    {"", "refusal", "Refusal rate: no judge that tells refusals was run."},
    {"rubric", "label", "Fluency and correctness: no rubric was run."},
    {"quality", "empty", "Empty, endless and truncated answers: the verdicts have no quality flags."}};

}  // namespace

std::vector<std::string> not_measured(Inputs const& inputs) {
  auto const& results = inputs.results;
  std::vector<std::string> sentences;
  if (results.checkpoints.empty())
    return {"Attack success, refusals and quality of answers: no verdicts were given (--verdicts)."};
  missing_languages(inputs, sentences);
  for (auto const& absent : absences) {
    std::vector<std::string> without;
    for (auto const& checkpoint : results.checkpoints)
      if (label_columns(checkpoint, absent.kind, absent.column).empty()) without.push_back(checkpoint.name);
    if (without.size() == results.checkpoints.size())
      sentences.emplace_back(absent.sentence);
    else if (!without.empty())
      sentences.push_back(std::string(absent.sentence) + " (Of " + listed(without) + ".)");
  }
  if (results.categories == std::vector<std::string>{""})
    sentences.emplace_back("Attack success by category: not published with these prompts, and no row has one.");
  std::set<std::string> guards;
  for (auto const& checkpoint : results.checkpoints)
    for (auto const& [name, labels] : label_columns(checkpoint, "safety", "label"))
      if (!name.starts_with("adjudicator")) guards.insert(name);
  if (guards.size() < 3)
    sentences.push_back("An independent judge: " +
                        (guards.empty() ? "no safety judge's own labels are in these files."
                                        : "there is none beside " + listed({guards.begin(), guards.end()}) + "."));
  bool const any_transfer = std::any_of(results.checkpoints.begin(), results.checkpoints.end(),
                                        [&](auto const& c) { return !inputs.languages.trained_on(c.name).empty(); });
  if (!any_transfer)
    sentences.emplace_back("Transfer between languages: no checkpoint is named as trained on one language.");
  if (inputs.runs.empty())
    sentences.emplace_back("Training curves, pairs and hours: no training run was given (--runs).");
  sentences.emplace_back("Knowledge (Global MMLU): this report reads no scores.");
  sentences.emplace_back("Human labels: the judges' error is not corrected for.");
  return sentences;
}

}  // namespace refrain::report

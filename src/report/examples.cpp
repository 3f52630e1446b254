#include "sections.hpp"

#include <refrain/base/random.hpp>
#include <refrain/h5/reader.hpp>
#include <refrain/h5/responses_file.hpp>

#include <algorithm>
#include <map>

namespace refrain::report {
namespace {

/// Why an answer is shown, or empty.
std::string reason(Checkpoint const& checkpoint, std::size_t row) {
  if (checkpoint.final_label[row] < 0) return "undecided";
  bool safe = false, unsafe = false;
  for (auto const& [name, judge] : checkpoint.judges)
    if (auto const found = judge.columns.find("label"); judge.kind == "safety" && found != judge.columns.end()) {
      safe |= found->second[row] == 0;
      unsafe |= found->second[row] == 1;
    }
  if (safe && unsafe) return "judges differ";
  return checkpoint.final_label[row] == 1 ? "attack succeeded" : "";
}

class Chooser {
public:
  explicit Chooser(Inputs const& inputs) : in_(inputs) {}

  Section run() {
    Section section{
        .id = "examples",
        .title = "Examples",
        .paragraphs = {"The prompts and answers below may be harmful. Up to " + std::to_string(in_.options.examples) +
                       " of each checkpoint and language, drawn by the seed from those that the judges differ "
                       "on, that are undecided, or that were attack successes."}};
    for (auto const& file : in_.options.responses) add(section, file);
    if (left_out_ > 0)
      section.paragraphs.push_back(std::to_string(left_out_) + " answers of category " + guarded_category +
                                   ", or of no known category, were not considered.");
    return section;
  }

private:
  Checkpoint const& checkpoint_of(NamedFile const& file) const {
    auto const name = checkpoint_name(file, file.name.empty() ? h5::Reader(file.path).provenance() : Json());
    for (auto const& checkpoint : in_.results.checkpoints)
      if (checkpoint.name == name) return checkpoint;
    throw UsageError("--responses: no verdicts are of " + name, "name it as its verdicts are (NAME=FILE.h5)",
                     {.file = file.path});
  }

  bool shown(Checkpoint const& checkpoint, std::size_t row) const {
    auto const& prompt = in_.results.prompts[checkpoint.prompt[row]];
    bool const known = !in_.results.categories[prompt.category].empty();
    return (known && !checkpoint.guarded[row]) || !in_.options.include_categories.empty();
  }

  void add(Section& section, NamedFile const& file) {
    auto const& checkpoint = checkpoint_of(file);
    auto const responses = h5::read_responses(file.path);
    std::map<std::pair<std::size_t, int32_t>, std::size_t> rows;  // of the verdicts
    for (std::size_t row = 0; row < checkpoint.size(); ++row)
      rows[{checkpoint.prompt[row], checkpoint.sample[row]}] = row;
    std::map<std::size_t, int64_t> taken;  // by language
    for (auto const at : permutation(
             responses.size(), CounterRandom(static_cast<uint64_t>(in_.options.seed), "examples/" + checkpoint.name))) {
      auto const i = static_cast<std::size_t>(at);
      auto const prompt =
          in_.results.prompt_index.find(prompt_key(responses.language[i], responses.row_id[i], responses.id[i]));
      if (prompt == in_.results.prompt_index.end()) continue;
      auto const row = rows.find({prompt->second, responses.sample[i]});
      if (row == rows.end()) continue;
      auto const why = reason(checkpoint, row->second);
      if (why.empty()) continue;
      if (!shown(checkpoint, row->second)) {
        ++left_out_;
        continue;
      }
      if (++taken[in_.results.prompts[prompt->second].language] > in_.options.examples) continue;
      section.examples.push_back({.heading = checkpoint.name + ", " + in_.languages.name(responses.language[i]) +
                                             ", row " + std::to_string(responses.row_id[i]) + ", sample " +
                                             std::to_string(responses.sample[i]) + ": " + why,
                                  .prompt = responses.prompt[i],
                                  .answer = responses.text[i]});
    }
  }

  Inputs const& in_;
  int64_t left_out_ = 0;
};

}  // namespace

Section example_section(Inputs const& inputs) { return Chooser(inputs).run(); }

}  // namespace refrain::report

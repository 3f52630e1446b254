#include <refrain/generate/options.hpp>

#include <refrain/base/files.hpp>
#include <refrain/base/guarded_category.hpp>

#include <utility>

namespace refrain::generate {

OptionTable Options::table(Options& o) {
  OptionTable table(
      "generate",
      "Answers prompts with a model or through a server: greedy or sampled, many at once, resumable at any time.");
  Range<int64_t> const at_least_one{.least = 1};

  table.group("Input and output")
      .add("prompts", o.prompts, "prompts, made by refrain-shard --prompts", "FILE.h5")
      .required()
      .add("out", o.out, "answers; until all are there, finished ones are kept in FILE.h5.parts", "FILE.h5")
      .required()
      .add("include-category", o.include_category,
           "answers prompts of these categories too, which are left out otherwise: S4 (child exploitation)", "NAME...");

  o.add_to(table, "answers");

  table.group("Answers")
      .add("max-new-tokens", o.max_new_tokens, "an answer ends after so many tokens", at_least_one)
      .add("temperature", o.temperature, "divides the logits before a token is drawn; 0: the likeliest token",
           {.least = 0})
      .add("top-p", o.top_p, "draws from the fewest likeliest tokens whose probabilities sum to this much",
           {.least = 0, .most = 1, .least_excluded = true})
      .add("top-k", o.top_k, "draws from so many likeliest tokens; 0: from all", {.least = 0})
      .add("samples", o.samples, "answers to each prompt", at_least_one)
      .add("seed", o.seed, "of the draws", {.least = 0})
      .add("stop", o.stop, "an answer ends before any of these texts, beside the model's own stop tokens");

  return table;
}

void Options::validate_source() const {
  endpoint.validate();
  if (!has_checkpoint() && !has_server())
    throw UsageError("nothing is named that answers",
                     "give --checkpoint, or a server: --endpoint, --batch-out or --batch-in");
  if (!has_server()) return model.validate();
  std::string const source = endpoint.source() == endpoint::Source::server      ? "--endpoint"
                             : endpoint.source() == endpoint::Source::batch_out ? "--batch-out"
                                                                                : "--batch-in";
  if (has_checkpoint()) throw UsageError("--checkpoint and " + source + " are both given", "give one of them");
  if (auto const changed = model.first_changed(); !changed.empty())
    throw UsageError(changed + " belongs to --checkpoint, and " + source + " is given", "leave it out");
  if (top_k != 0)
    throw UsageError("--top-k cannot be asked of a server: chat completions have no field for it",
                     "leave it out, or use --top-p");
  if (endpoint.model.empty())
    throw UsageError("--model is missing", "give the one that --batch-out was given: results are known by it");
}

void Options::validate_files() const {
  require_readable_file(prompts, "--prompts");
  require_folder(std::filesystem::absolute(out).parent_path(), "--out");
  std::vector<std::pair<std::string, std::filesystem::path>> files{{"--prompts", prompts}, {"--out", out}};
  if (!endpoint.batch_out.empty()) files.emplace_back("--batch-out", endpoint.batch_out);
  for (auto const& file : endpoint.batch_in) files.emplace_back("--batch-in", file);
  require_distinct_files(files);
}

void Options::validate() const {
  validate_source();
  validate_files();
  if (temperature == 0 && samples > 1)
    throw UsageError("--samples " + std::to_string(samples) + " at --temperature 0 would all be the same answer",
                     "raise --temperature, or leave --samples out");
  if (temperature == 0 && (top_k != 0 || top_p != 1))
    throw UsageError("--top-k and --top-p belong to sampling, and --temperature is 0", "raise it, or leave them out");
  for (auto const& text : stop)
    if (text.empty()) throw UsageError("--stop is empty", "name a text, or leave it out");
  for (auto const& category : include_category)
    if (category != guarded_category)
      throw UsageError("--include-category " + category + ": only S4 is ever left out", "leave it out");
}

}  // namespace refrain::generate

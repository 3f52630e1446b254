#include <refrain/shard/options.hpp>

#include <refrain/base/files.hpp>
#include <refrain/shard/language_sets.hpp>

#include <limits>

namespace refrain::shard {

OptionTable Options::table(Options& options) {
  OptionTable table(
      "shard",
      "Reads preference pairs or prompts, selects a language configuration, renders the chat template, tokenises, "
      "and writes pairs.v1 or prompts.v1.");
  table.group("Input and output")
      .add("pairs", options.pairs, "preference pairs: JSON lines (.gz too) or Parquet", "FILE...")
      .add("prompts", options.prompts, "prompts instead of pairs: no row is dropped or cut", "FILE...")
      .add("tokenizer", options.tokenizer, "folder with the model's tokenizer.json", "CKPT|HF_DIR")
      .required()
      .add("out", options.out, "file to write", "FILE.h5")
      .required()
      .flag("overwrite", options.overwrite, "replace a file that was made from other input or with other options");
  table.group("Selection")
      .add("configuration", options.configuration,
           "balanced, high-resource, english-only, no-english, balanced-matched, english-only-long, a language code, "
           "one of "
           "your own, or all: every row in file order (prompts: all if not given)",
           "NAME")
      .add("language-sets", options.language_sets, "your own configurations, in the form of shard/language_sets.json",
           "FILE")
      .add("total-pairs", options.total_pairs, "at most so many rows in --out, spread evenly over the languages",
           Range<int64_t>{.least = 1})
      .add("dev-fraction", options.dev_fraction, "share of the row_id groups that goes to --dev-out",
           Range<double>{.least = 0, .most = 1, .least_excluded = true})
      .add("dev-out", options.dev_out, "file for the dev side", "FILE.h5")
      .add("seed", options.seed, "of the choice of rows and of dev groups", Range<int64_t>{.least = 0});
  table.group("Tokens")
      .add("max-length", options.max_length, "tokens of prompt and answer together; the start is kept (pairs only)",
           Range<int64_t>{.least = 2, .most = std::numeric_limits<int32_t>::max()})
      .add("tokenization", options.tokenization,
           "trl: as TRL 1.16; trl-legacy: as TRL up to 0.27, parts encoded apart and an end token more (pairs only)")
      .add("chat-template", options.chat_template, "auto (by the model's own template), a family, or a JSON file",
           "auto|NAME|FILE.json")
      .add("template-date", options.template_date,
           "the day that a template such as llama-3.2's writes, as 05 Jan 2025; if not given 26 Jul 2024, or a JSON "
           "file's own",
           "DATE");
  return table;
}

void Options::validate() {
  if (pairs.empty() == prompts.empty())
    throw UsageError(pairs.empty() ? "neither --pairs nor --prompts is given" : "--pairs and --prompts are both given",
                     "give one of them: each makes a file of its own kind");
  if (configuration.empty()) {
    if (for_pairs())
      throw UsageError("--configuration is missing",
                       "name a language set, for example balanced, or all for every row in file order");
    configuration = "all";
  }
  if (dev_fraction && *dev_fraction >= 1)
    throw UsageError("--dev-fraction 1 leaves nothing for --out", "give a share below 1, for example 0.05");
  if (dev_fraction.has_value() != !dev_out.empty())
    throw UsageError(dev_fraction ? "--dev-fraction is given without --dev-out"
                                  : "--dev-out is given without --dev-fraction",
                     "give both, or neither");
  if (!dev_out.empty() && std::filesystem::weakly_canonical(dev_out) == std::filesystem::weakly_canonical(out))
    throw UsageError("--out and --dev-out are the same file", "give each side a file of its own");
  if (!template_date.empty() && !text::is_template_date(template_date))
    throw UsageError("--template-date is '" + template_date + "'", "give a day like 26 Jul 2024");
  LanguageSets::load(language_sets).find(configuration);
  require_folder(tokenizer, "--tokenizer");
  require_folder(std::filesystem::absolute(out).parent_path(), "--out");
  if (!dev_out.empty()) require_folder(std::filesystem::absolute(dev_out).parent_path(), "--dev-out");
  for (auto const& file : inputs()) {
    require_readable_file(file, input_option());
    for (auto const& output : {out, dev_out})
      if (!output.empty() && std::filesystem::weakly_canonical(output) == std::filesystem::weakly_canonical(file))
        throw UsageError("an output has the name of an input", "give the output another name", {.file = output});
  }
}

}  // namespace refrain::shard

#include <refrain/base/signals.hpp>
#include <refrain/study/configuration.hpp>
#include <refrain/study/evaluation.hpp>
#include <refrain/study/pairs.hpp>
#include <refrain/study/prompts.hpp>

#include <iostream>

namespace refrain::study {

Exit run_shard(Options const& options) {
  install_stop_handlers();
  auto const [settings, job, subjects] = begin_evaluation(options, "shard", {"REFRAIN_PAIRS", "REFRAIN_PROMPTS"});
  auto const prompts = find_prompts(settings, subjects.back());
  for (auto const& name : settings.studies) {
    auto const configuration = find_configuration(name);
    auto const folder = settings.runs / name;
    auto const line = shard_line(program("shard"), configuration, settings, folder / "pairs.h5");
    if (options.dry_run)
      std::cout << join_words(line) << "\n";
    else
      prepare_pairs(line, settings, folder);
  }
  if (!options.dry_run)
    prepare_prompts(prompts, settings);
  else if (!prompts.line.empty())
    std::cout << join_words(prompts.line) << "\n";
  return Exit::success;
}

}  // namespace refrain::study

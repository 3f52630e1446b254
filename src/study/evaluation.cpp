#include <refrain/study/evaluation.hpp>

namespace refrain::study {

Evaluation begin_evaluation(Options const& options, std::string const& command, Words needed) {
  auto environment = current_environment();
  if (!options.names.empty()) environment["REFRAIN_STUDY"] = join_words(options.names);
  needed.push_back("REFRAIN_STUDY");
  Evaluation evaluation;
  evaluation.settings = read_settings(environment, needed);
  if (!options.launcher.empty()) evaluation.settings.launcher = options.launcher;
  if (!options.sweep.empty()) evaluation.settings.sweep = options.sweep;
  evaluation.job = {.allocation = read_allocation(environment), .script = "slurm/" + command + ".sh"};
  evaluation.subjects = list_subjects(evaluation.settings);
  return evaluation;
}

}  // namespace refrain::study

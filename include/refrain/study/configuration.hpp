#pragma once

#include <refrain/study/words.hpp>

#include <cstdint>
#include <string>

namespace refrain::study {

/// What the name of a training configuration, such as dpo_70b_balanced, means. The names and meanings are data
/// (study/configurations.json): a method, a model size and a language selection.
struct Configuration {
  std::string name;   ///< dpo_70b_high_resource: also the name of the script and of the folder under REFRAIN_RUNS
  std::string pairs;  ///< as refrain-shard --configuration takes it: high-resource
  int nodes = 1, tasks_per_node = 1;  ///< as the script's directives ask for them
  int tensor_parallel = 1;
  int64_t paper_pairs = 0;  ///< that the paper's data have for it
  Words train_options;      ///< what refrain-train is given for this method and size
};

/// The parts of which names are made.
struct ConfigurationParts {
  Words methods, sizes, pairs;  ///< "dpo"; "8b"; "high_resource"
};
ConfigurationParts configuration_parts();

/// @throws Error that says how names are made, with the parts there are
Configuration find_configuration(std::string const& name);

}  // namespace refrain::study

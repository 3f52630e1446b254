#include <refrain/study/stage.hpp>

namespace refrain::study {

char const* stage_name(Stage stage) {
  switch (stage) {
    case Stage::shard: return "shard";
    case Stage::train: return "train";
    case Stage::generate: return "generate";
    case Stage::judge: return "judge";
    case Stage::adjudicate: return "adjudicate";
    case Stage::report: return "report";
    case Stage::archive: return "archive";
  }
  return "?";
}

std::optional<Stage> find_stage(std::string const& name) {
  for (auto const stage : all_stages)
    if (name == stage_name(stage)) return stage;
  return {};
}

}  // namespace refrain::study

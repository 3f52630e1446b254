#pragma once

#include <array>
#include <optional>
#include <string>

namespace refrain::study {

/// The stages of a study, in the order in which one waits for the other.
enum class Stage { shard, train, generate, judge, adjudicate, report, archive };

inline constexpr std::array all_stages{Stage::shard,      Stage::train,  Stage::generate, Stage::judge,
                                       Stage::adjudicate, Stage::report, Stage::archive};

/// "adjudicate": in study files, in names of jobs, and slurm/NAME.sh of all but train.
char const* stage_name(Stage stage);

/// The inverse; nothing for what is no stage.
std::optional<Stage> find_stage(std::string const& name);

}  // namespace refrain::study

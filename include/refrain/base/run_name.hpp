#pragma once

#include <filesystem>
#include <string>

namespace refrain {

/// What a run is called by its folder: `runs/a/` is `a`; a member of a sweep, whose own name is its settings, has its
/// study's in front: `runs/s/beta=0.1,seed=1` is `s/beta=0.1,seed=1`. Empty for a root.
std::string run_name(std::filesystem::path folder);

/// What the run is called that a checkpoint belongs to: `runs/a/final` and `runs/a/checkpoints/latest` are of `a`. Any
/// other folder is taken for the run's own.
std::string run_of_checkpoint(std::filesystem::path folder);

}  // namespace refrain

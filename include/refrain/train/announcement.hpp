#pragma once

#include <refrain/train/planner.hpp>

#include <cstdint>
#include <string>

namespace refrain::train {

/// What a run is about to do, on one line: model, layout, pairs, steps, balance, and what it will take.
/// `disk`: bytes
std::string announcement(checkpoint::ModelConfig const& config, Candidate const& chosen, Formats const& formats,
                         Workload const& workload, int threads, int64_t disk);

}  // namespace refrain::train

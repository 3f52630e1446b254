#pragma once

#include <refrain/checkpoint/adapter.hpp>
#include <refrain/train/options.hpp>

#include <optional>

namespace refrain::train {

/// The adapter that the options describe, if any. @throws UsageError where they contradict the one to go on from, Error
/// where that does not fit the model
std::optional<checkpoint::AdapterConfig> adapter_to_train(Options const& options, checkpoint::ModelConfig const& model);

}  // namespace refrain::train

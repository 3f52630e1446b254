#pragma once

#include <refrain/checkpoint/adapter.hpp>
#include <refrain/train/options.hpp>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace refrain::train {

/// The adapter that the options describe, if any. @throws UsageError where they contradict the one to go on from, Error
/// where that does not fit the model
std::optional<checkpoint::AdapterConfig> adapter_to_train(Options const& options, checkpoint::ModelConfig const& model);

/// Small files of an adapter's checkpoints, by name: how PEFT finds the model that it belongs to.
std::map<std::string, std::string> adapter_files(std::optional<checkpoint::AdapterConfig> const& adapter,
                                                 std::filesystem::path const& model);

}  // namespace refrain::train

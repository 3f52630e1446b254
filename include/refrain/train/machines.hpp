#pragma once

#include <refrain/train/run_layout.hpp>

#include <filesystem>
#include <string>

namespace refrain::train {

/// What one rank runs on, from machines.json. Rates in operations or bytes a second.
struct Machine {
  std::string name;
  DeviceKind kind = DeviceKind::gpu;
  double flops = 0;       ///< that products reach: the data sheet's times the efficiency
  double efficiency = 0;  ///< share of the data sheet's figure
  double memory = 0, memory_rate = 0;
  double node_rate = 0, network_rate = 0;  ///< sent by one rank, within a node and between nodes
};

/// @throws UsageError if `file` knows no such machine, naming those that it knows
Machine find_machine(std::string const& name, std::filesystem::path const& file);

/// The machine whose GPU a driver calls `device` ("NVIDIA A100-SXM4-64GB"), by name and then by memory (bytes); H100
/// where none is like it.
Machine find_gpu_machine(std::string const& device, double memory, std::filesystem::path const& file);

}  // namespace refrain::train

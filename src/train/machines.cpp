#include <refrain/train/machines.hpp>

#include <refrain/base/json_file.hpp>

#include <cmath>

namespace refrain::train {

Machine find_machine(std::string const& name, std::filesystem::path const& file) {
  Json const machines = json_get<Json>(read_json(file), "machines", file);
  if (!machines.contains(name)) {
    std::string known;
    for (auto const& [other, values] : machines.items()) known += (known.empty() ? "" : ", ") + other;
    throw UsageError("--machine " + name + " is not known", "known are " + known, {.file = file});
  }
  Json const entry = machines.at(name);
  auto const number = [&](char const* key) { return json_get<double>(entry, key, file); };
  double const efficiency = number("efficiency");
  return {.name = name,
          .kind = json_get<std::string>(entry, "kind", file) == "cpu" ? DeviceKind::cpu : DeviceKind::gpu,
          .flops = number("tflops") * 1e12 * efficiency,
          .efficiency = efficiency,
          .memory = number("memory_gb") * 1e9,
          .memory_rate = number("memory_gbs") * 1e9,
          .node_rate = number("node_gbs") * 1e9,
          .network_rate = number("network_gbs") * 1e9};
}

Machine find_gpu_machine(std::string const& device, double memory, std::filesystem::path const& file) {
  std::string best = "H100";
  std::size_t best_length = 0;
  double best_distance = 0;
  Json const machines = json_get<Json>(read_json(file), "machines", file);
  for (auto const& [name, values] : machines.items()) {
    std::string const chip = name.substr(0, name.find('-'));  // "A100-64" differs from "A100-40" in its memory
    if (device.find(chip) == std::string::npos || values.at("kind") != "gpu") continue;
    double const distance = std::abs(json_get<double>(values, "memory_gb", file) * 1e9 - memory);
    // The longest name: a GH200 is no H200.
    if (chip.size() < best_length || (chip.size() == best_length && distance >= best_distance)) continue;
    best = name, best_length = chip.size(), best_distance = distance;
  }
  return find_machine(best, file);
}

}  // namespace refrain::train

#include <refrain/train/machines.hpp>

#include <refrain/base/json_file.hpp>

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

}  // namespace refrain::train

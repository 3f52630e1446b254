#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/study/configuration.hpp>

#include <functional>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// Calls `visit` with the name and the three parts of every configuration.
void for_each(Json const& table, fs::path const& path,
              std::function<void(std::string const&, Json const&, Json const&, Json const&)> const& visit) {
  for (auto const* part : {"methods", "sizes", "pairs"})
    if (!table.is_object() || !table.contains(part) || !table[part].is_object())
      throw Error("the table of configurations has no object '" + std::string(part) + "'",
                  "restore the file from the release", {.file = path});
  for (auto const& [method, method_entry] : table["methods"].items())
    for (auto const& [size, size_entry] : table["sizes"].items())
      for (auto const& [pairs, pairs_entry] : table["pairs"].items())
        visit(method + "_" + size + "_" + pairs, method_entry, size_entry, pairs_entry);
}

fs::path table_file() { return data_file("study/configurations.json"); }

}  // namespace

ConfigurationParts configuration_parts() {
  auto const path = table_file();
  Json const table = read_json(path);
  auto const names_in = [&](char const* part) {
    auto const entries = json_get<Json>(table, part, path);
    Words names;
    for (auto const& [name, value] : entries.items()) names.push_back(name);
    return names;
  };
  return {.methods = names_in("methods"), .sizes = names_in("sizes"), .pairs = names_in("pairs")};
}

Configuration find_configuration(std::string const& name) {
  auto const path = table_file();
  Json const table = read_json(path);
  Configuration found;
  for_each(table, path, [&](std::string const& each, Json const& method, Json const& size, Json const& pairs) {
    if (each != name) return;
    found.name = each;
    found.pairs = pairs.get<std::string>();
    found.nodes = json_get<int>(size, "nodes", path);
    found.tasks_per_node = json_get<int>(size, "tasks_per_node", path);
    found.paper_pairs = json_get<int64_t>(json_get<Json>(table, "paper_pairs", path), found.pairs, path);
    found.tensor_parallel = json_get<int>(size, "tensor_parallel", path);
    for (auto const* part : {&method, &size})
      for (auto const& word : part->at("train")) found.train_options.push_back(word.get<std::string>());
  });
  if (!found.name.empty()) return found;
  auto const parts = configuration_parts();
  throw UsageError("there is no configuration '" + name + "'", "names are " + joined(parts.methods, "|") + "_" +
                                                                   joined(parts.sizes, "|") + "_" +
                                                                   joined(parts.pairs, "|"));
}

}  // namespace refrain::study

#include <refrain/report/languages.hpp>

#include <refrain/base/files.hpp>
#include <refrain/base/json_file.hpp>

#include <algorithm>

namespace refrain::report {

Languages Languages::load() {
  Languages languages;
  auto const file = data_file("report/languages.json");
  auto const known = read_json(file);
  languages.order_ = json_get<std::vector<std::string>>(known, "order", file);
  auto const names = json_get<Json>(known, "names", file);
  for (auto const& [code, name] : names.items()) languages.names_[code] = name.get<std::string>();
  auto const judges = json_get<Json>(known, "judges_made_for", file);
  for (auto const& [judge, codes] : judges.items())
    languages.judges_[judge] = json_get<std::vector<std::string>>(judges, judge, file);
  auto const sets_file = data_file("shard/language_sets.json");
  auto const sets = json_get<Json>(read_json(sets_file), "sets", sets_file);
  for (auto const& [name, set] : sets.items()) {
    auto const& codes = set.at("languages");
    bool const plain = !set.contains("total_of") && !set.contains("repeat_to");
    languages.configurations_[name] =
        plain && codes.is_array() && codes.size() == 1 ? codes[0].get<std::string>() : std::string{};
  }
  return languages;
}

bool Languages::before(std::string const& a, std::string const& b) const {
  auto const key = [&](std::string const& code) {
    return std::tuple(code.empty(), std::find(order_.begin(), order_.end(), code) - order_.begin(), code);
  };
  return key(a) < key(b);
}

std::string Languages::name(std::string const& code) const {
  auto const found = names_.find(code);
  return found != names_.end() ? found->second : code;
}

std::optional<bool> Languages::made_for(std::string const& judge, std::string const& code) const {
  std::vector<std::string> const* codes = nullptr;
  for (auto const& [name, listed] : judges_)  // in order, so that the longest name that fits comes last
    if (judge.starts_with(name)) codes = &listed;
  if (codes == nullptr) return std::nullopt;
  return std::find(codes->begin(), codes->end(), code) != codes->end();
}

std::string Languages::trained_on(std::string const& checkpoint) const {
  std::string name = checkpoint;
  // A member of a sweep is named CONFIGURATION/beta=...
  if (auto const slash = name.find('/'); slash != std::string::npos && name.find('=', slash) != std::string::npos)
    name.resize(slash);
  std::replace(name.begin(), name.end(), '_', '-');
  std::string best, language;
  for (auto const& [configuration, code] : configurations_) {
    if (!name.ends_with(configuration) || configuration.size() < best.size()) continue;
    auto const rest = name.size() - configuration.size();
    if (rest > 0 && name[rest - 1] != '-' && name[rest - 1] != '/') continue;
    best = configuration;
    language = code;
  }
  return language;
}

}  // namespace refrain::report

#include <refrain/report/settings.hpp>

#include <refrain/base/anonymous.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/joined.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace refrain::report {
namespace {

/// Leaves of `value` by their dotted keys.
void flatten(Json const& value, std::string const& key, std::vector<std::pair<std::string, std::string>>& leaves) {
  if (value.is_object()) {
    for (auto const& [name, inner] : value.items()) flatten(inner, key.empty() ? name : key + "." + name, leaves);
    return;
  }
  if (value.is_null() || value == "" || (value.is_array() && value.empty())) return;
  leaves.emplace_back(key, value.is_string() ? value.get<std::string>() : dump_text(value));
}

/// Values of settings with the names that have them, in order of appearance.
class Collected {
public:
  void add(std::string const& of, std::string const& name, Json const& value) {
    names_[of].insert(name);
    std::vector<std::pair<std::string, std::string>> leaves;
    flatten(value, "", leaves);
    for (auto& [key, text] : leaves) {
      std::array<std::string, 3> const entry{of, key, text};
      auto const [place, added] = holders_.try_emplace(entry);
      if (added) order_.push_back(entry);
      if (std::find(place->second.begin(), place->second.end(), name) == place->second.end())
        place->second.push_back(name);
    }
  }

  Table table() const {
    Table table{.id = "settings",
                .title = "Settings",
                .columns = {{"of", "Of"}, {"setting", "Setting"}, {"value", "Value"}, {"checkpoints", "Checkpoints"}},
                .rows = {}};
    std::map<std::pair<std::string, std::string>, std::size_t> firsts;  // values of one setting stand together
    for (auto const& entry : order_) firsts.try_emplace({entry[0], entry[1]}, firsts.size());
    auto sorted = order_;
    std::stable_sort(sorted.begin(), sorted.end(),
                     [&](auto const& a, auto const& b) { return firsts.at({a[0], a[1]}) < firsts.at({b[0], b[1]}); });
    for (auto const& entry : sorted) {
      auto const& holders = holders_.at(entry);
      bool const is_of_all = holders.size() == names_.at(entry[0]).size() && holders.size() > 1;
      table.rows.push_back({entry[0], entry[1], entry[2], is_of_all ? "all" : joined(holders)});
    }
    return table;
  }

private:
  std::map<std::array<std::string, 3>, std::vector<std::string>> holders_;
  std::vector<std::array<std::string, 3>> order_;
  std::map<std::string, std::set<std::string>> names_;
};

}  // namespace

Table settings_table(Results const& results, std::vector<Run> const& runs, Identity identity) {
  Collected collected;
  auto const add = [&](std::string const& of, std::string const& name, Json const& value) {
    if (value.is_object()) collected.add(of, name, identity == Identity::shown ? value : anonymised(value));
  };
  for (auto const& checkpoint : results.checkpoints)
    for (auto const& source : checkpoint.sources) {
      add("generation", checkpoint.name, generation_of(source.provenance));
      Json judging = source.provenance;
      if (judging.is_object()) judging.erase("responses");
      add("judging", checkpoint.name, judging);
    }
  for (auto const& run : runs) {
    add("training", run.name, run.record.value("identity", Json()));
    Json provenance = run.record.value("provenance", Json::object());
    // The identity has what decides the result; of the rest, who made it where.
    if (provenance.is_object()) provenance.erase("options");
    add("training", run.name, provenance);
  }
  return collected.table();
}

Table files_table(Results const& results, Identity identity) {
  Table table{.id = "files",
              .title = "Verdict files",
              .columns = {{"name", "Checkpoint"}, {"file", "File"}, {"sha256", "SHA-256"}},
              .rows = {}};
  for (auto const& checkpoint : results.checkpoints)
    for (auto const& source : checkpoint.sources) {
      auto const file = identity == Identity::shown ? source.path.string() : std::string("(left out)");
      table.rows.push_back({checkpoint.name, file, source.sha256});
    }
  return table;
}

Table deviations_table(std::vector<Run> const& runs) {
  Table table{.id = "deviations",
              .title = "Training settings against the paper's",
              .columns = {{"run", "Run"}, {"setting", "Setting"}, {"here", "Here"}, {"paper", "Paper"}},
              .rows = {}};
  auto const file = data_file("report/paper.json");
  auto const paper = read_json(file);
  auto const stated = json_get<Json>(paper, "stated", file);
  for (auto const& run : runs) {
    Json const identity = run.record.value("identity", Json::object());
    auto const here = [&](std::string const& key) {
      return identity.contains(key) && !identity.at(key).is_null() ? dump_text(identity.at(key)) : std::string("none");
    };
    for (auto const& [key, value] : stated.items())
      if (!identity.contains(key) || identity.at(key) != value)
        table.rows.push_back({run.name, key, here(key), dump_text(value)});
    for (auto const& key : json_get<std::vector<std::string>>(paper, "not_stated", file))
      table.rows.push_back({run.name, key, here(key), std::string("not stated")});
    if (identity.contains("lora")) table.rows.push_back({run.name, "lora", dump_text(identity.at("lora")), "none"});
  }
  return table;
}

}  // namespace refrain::report

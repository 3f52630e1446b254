#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/table.hpp>
#include <refrain/study/sweep.hpp>
#include <refrain/study/train_options.hpp>

#include <cctype>
#include <cmath>
#include <set>
#include <string_view>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// Linux allows 255 bytes; what stands beside a run folder has its name and more.
constexpr std::size_t longest_folder = 200;

/// A table under way: where it stands, and what its keys may be.
struct Table {
  fs::path path;
  TrainOptions options;

  /// Sets one field from JSON. @throws Error naming the key
  void set(SweepMember& member, std::string const& key, Json const& value) const {
    auto const name = options.find(key, path);
    if (name == "beta") {
      member.beta = positive(key, value);
    } else if (name == "learning-rate") {
      member.learning_rate = positive(key, value);
    } else if (name == "seed") {
      if (!value.is_number_unsigned())
        throw Error("seed is " + dump_text(value) + ", not a whole number from 0", "correct the table",
                    {.file = path, .object = key});
      member.seed = value.get<int64_t>();
    } else {
      member.more[name] = options.value_words(name, value, path);
    }
  }

private:
  double positive(std::string const& key, Json const& value) const {
    if (!value.is_number() || !(value.get<double>() > 0) || !std::isfinite(value.get<double>()))
      throw Error(key + " is " + dump_text(value) + ", not a number above 0", "correct the table",
                  {.file = path, .object = key});
    return value.get<double>();
  }
};

/// A value as part of a folder's name.
std::string name_part(Words const& values) {
  std::string part;
  for (auto const& value : values) part += (part.empty() ? "" : "+") + value;
  for (char& c : part)
    if (!std::isalnum(static_cast<unsigned char>(c)) && std::string_view("._+-").find(c) == std::string_view::npos)
      c = '_';
  return part;
}

/// @throws Error for what cannot be told apart by folders
void check_folders(std::vector<SweepMember> const& members, fs::path const& path) {
  std::set<std::string> seen;
  for (auto const& member : members) {
    auto const folder = member.folder();
    if (!seen.insert(folder).second)
      throw Error("two members of the sweep are " + folder + " and would share a folder", "take one out",
                  {.file = path});
    if (folder.size() > longest_folder)
      throw Error("the folder " + folder + " would have a name of " + std::to_string(folder.size()) + " bytes",
                  "set what all members share in REFRAIN_TRAIN_ARGS or a study's train_args; " +
                      std::to_string(longest_folder) + " bytes are the most",
                  {.file = path});
  }
}

std::vector<SweepMember> expand_grid(Json const& grid, Table const& table) {
  std::vector<SweepMember> members(1);
  for (auto const& [key, values] : grid.items()) {
    if (!values.is_array() || values.empty())
      throw Error("grid." + key + " is not a list of values", "write [0.1, 0.3]", {.file = table.path, .object = key});
    std::vector<SweepMember> expanded;
    for (auto const& member : members) {
      for (auto const& value : values) {
        expanded.push_back(member);
        table.set(expanded.back(), key, value);
      }
    }
    members = std::move(expanded);
  }
  return members;
}

}  // namespace

std::string SweepMember::folder() const {
  auto name = "beta=" + format_number(beta) + ",lr=" + format_number(learning_rate) + ",seed=" + std::to_string(seed);
  for (auto const& [option, values] : more) name += "," + option + "=" + name_part(values);
  return name;
}

Words SweepMember::words() const {
  Words words{"--beta", format_number(beta), "--learning-rate", format_number(learning_rate),
              "--seed", std::to_string(seed)};
  for (auto const& [option, values] : more) {
    words.push_back("--" + option);
    words.insert(words.end(), values.begin(), values.end());
  }
  return words;
}

Words swept_options(std::vector<SweepMember> const& members) {
  std::set<std::string> names;
  for (auto const& member : members)
    for (auto const& word : member.words())
      if (word.starts_with("--")) names.insert(word);
  return {names.begin(), names.end()};
}

std::vector<SweepMember> read_sweep(fs::path const& path) {
  Json const json = read_json(path);
  Table const table{path, TrainOptions::load()};
  bool const is_list = json.is_object() && json.contains("members") && json["members"].is_array();
  bool const is_grid = json.is_object() && json.contains("grid") && json["grid"].is_object();
  if (is_list == is_grid)
    throw Error("the sweep has neither a list 'members' nor an object 'grid', or both",
                "write one of the two; docs/sweeps.md shows them", {.file = path});

  std::vector<SweepMember> members;
  if (is_grid) {
    members = expand_grid(json["grid"], table);
  } else {
    for (auto const& entry : json["members"]) {
      if (!entry.is_object())
        throw Error("a member is " + dump_text(entry) + ", not an object",
                    R"(write {"beta": 0.1, "learning_rate": 1e-6})", {.file = path});
      SweepMember member;
      for (auto const& [key, value] : entry.items()) table.set(member, key, value);
      members.push_back(member);
    }
  }
  if (members.empty())
    throw Error("the sweep has no members", "give it one at least", {.file = path, .object = "members"});

  check_folders(members, path);
  return members;
}

fs::path find_sweep(std::string const& name, std::string const& source) {
  if (fs::is_regular_file(name)) return name;
  std::string const shipped = "slurm/sweeps/default.json";
  auto const tables = data_files_beside(shipped);
  if (auto const found = tables.find(name); found != tables.end()) return found->second;
  throw UsageError("there is no sweep '" + name + "'",
                   "set " + source + " to a path or one of: " + joined(tables | std::views::keys),
                   {.file = data_file(shipped).parent_path()});
}

}  // namespace refrain::study

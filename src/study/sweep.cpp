#include <refrain/base/error.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/study/sweep.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// Sets one field from JSON. @throws Error naming the key
void set_field(SweepMember& member, std::string const& key, Json const& value, fs::path const& path) {
  auto const positive = [&] {
    if (!value.is_number() || !(value.get<double>() > 0) || !std::isfinite(value.get<double>()))
      throw Error(key + " is " + dump_text(value) + ", not a number above 0", "correct the table",
                  {.file = path, .object = key});
    return value.get<double>();
  };
  if (key == "beta") {
    member.beta = positive();
  } else if (key == "learning_rate") {
    member.learning_rate = positive();
  } else if (key == "seed") {
    if (!value.is_number_unsigned())
      throw Error("seed is " + dump_text(value) + ", not a whole number from 0", "correct the table",
                  {.file = path, .object = key});
    member.seed = value.get<int64_t>();
  } else {
    throw Error("'" + key + "' is nothing that a sweep varies",
                "the keys are beta, learning_rate and seed; options for every member go into REFRAIN_TRAIN_ARGS",
                {.file = path, .object = key});
  }
}

std::vector<SweepMember> expand_grid(Json const& grid, fs::path const& path) {
  std::vector<SweepMember> members(1);
  for (auto const& [key, values] : grid.items()) {
    if (!values.is_array() || values.empty())
      throw Error("grid." + key + " is not a list of values", "write [0.1, 0.3]", {.file = path, .object = key});
    std::vector<SweepMember> expanded;
    for (auto const& member : members) {
      for (auto const& value : values) {
        expanded.push_back(member);
        set_field(expanded.back(), key, value, path);
      }
    }
    members = std::move(expanded);
  }
  return members;
}

}  // namespace

std::string format_number(double value) {
  std::array<char, 32> digits{};
  auto const end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  std::string text(digits.data(), end);
  // to_chars pads the exponent to two digits; 1e-06 is written 1e-6 everywhere in the field.
  if (auto const e = text.find('e'); e != std::string::npos) {
    std::size_t const first = e + 2;
    if (text[e + 1] == '+') text.erase(e + 1, 1);
    std::size_t const start = text[e + 1] == '-' ? first : e + 1;
    while (start + 1 < text.size() && text[start] == '0') text.erase(start, 1);
  }
  return text;
}

std::string SweepMember::folder() const {
  return "beta=" + format_number(beta) + ",lr=" + format_number(learning_rate) + ",seed=" + std::to_string(seed);
}

std::vector<SweepMember> read_sweep(fs::path const& path) {
  Json const table = read_json(path);
  bool const is_list = table.is_object() && table.contains("members") && table["members"].is_array();
  bool const is_grid = table.is_object() && table.contains("grid") && table["grid"].is_object();
  if (is_list == is_grid)
    throw Error("the sweep has neither a list 'members' nor an object 'grid', or both",
                "write one of the two; docs/cluster.md shows them", {.file = path});

  std::vector<SweepMember> members;
  if (is_grid) {
    members = expand_grid(table["grid"], path);
  } else {
    for (auto const& entry : table["members"]) {
      if (!entry.is_object())
        throw Error("a member is " + dump_text(entry) + ", not an object",
                    R"(write {"beta": 0.1, "learning_rate": 1e-6})", {.file = path});
      SweepMember member;
      for (auto const& [key, value] : entry.items()) set_field(member, key, value, path);
      members.push_back(member);
    }
  }
  if (members.empty())
    throw Error("the sweep has no members", "give it one at least", {.file = path, .object = "members"});

  std::set<std::string> seen;
  for (auto const& member : members)
    if (!seen.insert(member.folder()).second)
      throw Error("two members of the sweep are " + member.folder() + " and would share a folder", "take one out",
                  {.file = path});
  return members;
}

fs::path find_sweep(std::string const& name, fs::path const& folder) {
  if (fs::is_regular_file(name)) return name;
  auto const in_folder = folder / (name + ".json");
  if (name.find('/') == std::string::npos && fs::is_regular_file(in_folder)) return in_folder;

  std::vector<std::string> names;
  if (fs::is_directory(folder))
    for (auto const& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  std::string list;
  for (auto const& each : names) list += (list.empty() ? "" : ", ") + each;
  throw Error("there is no sweep '" + name + "'",
              list.empty() ? "set REFRAIN_SWEEP to the path of a table"
                           : "set REFRAIN_SWEEP to a path or one of: " + list,
              {.file = folder});
}

}  // namespace refrain::study

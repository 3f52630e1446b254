#include <refrain/h5/schema.hpp>

#include <refrain/base/files.hpp>
#include <refrain/base/joined.hpp>

#include <algorithm>
#include <set>

namespace refrain::h5 {

namespace {

Json load_schema(std::string const& schema, std::filesystem::path const& path) {
  auto const safe = !schema.empty() && std::all_of(schema.begin(), schema.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '.' || c == '-' || c == '_';
  });
  std::filesystem::path file;
  try {
    if (safe) file = data_file("h5schemas/" + schema + ".json");
  } catch (Error const&) {}
  if (file.empty())
    throw Error("the file says that it is of kind '" + schema + "', which this version does not know",
                "use the version of Refrain that wrote it, or make it again", {.file = path, .object = "/@schema"});
  return read_json(file);
}

bool matches(std::string const& pattern, std::string const& name) {
  if (pattern.back() != '*') return pattern == name;
  return name.size() >= pattern.size() && name.compare(0, pattern.size() - 1, pattern, 0, pattern.size() - 1) == 0;
}

/// Checks one dataset at a time and remembers what the named lengths are.
class Checker {
public:
  Checker(Json const& schema, std::map<std::string, DatasetInfo> const& datasets,
          std::map<std::string, std::string> const& kinds, std::filesystem::path const& path)
      : schema_(schema), datasets_(datasets), kinds_(kinds), path_(path), made_by_(schema.value("made_by", "")) {}

  void run() {
    for (auto const& [name, rule] : schema_.at("objects").items()) {
      if (rule.contains("kinds")) {
        groups(name.substr(0, name.size() - 1), rule);
      } else if (name.back() == '*') {
        for (auto const& [dataset, info] : datasets_)
          if (matches(name, dataset)) one(dataset, info, rule, 0);
      } else {
        object(name, rule);
      }
    }
  }

private:
  Place place(std::string const& name) const { return {.file = path_, .object = name}; }
  std::string again() const {
    return made_by_.empty() ? "make the file again" : "make the file again with " + made_by_;
  }

  /// The groups right below `prefix`, each by the columns of its kind.
  void groups(std::string const& prefix, Json const& rule) {
    std::set<std::string> found;
    for (auto const& [dataset, info] : datasets_)
      if (dataset.starts_with(prefix)) found.insert(dataset.substr(0, dataset.find('/', prefix.size())));
    for (auto const& group : found) {
      auto const kind = kinds_.find(group);
      if (kind == kinds_.end()) throw Error("the group has no attribute 'kind'", again(), place(group));
      if (!rule.at("kinds").contains(kind->second)) continue;
      for (auto const& [column, column_rule] : rule.at("kinds").at(kind->second).items()) {
        auto whole = column_rule;
        whole["shape"] = rule.at("shape");
        object(group + "/" + column, whole);
      }
    }
  }

  void object(std::string const& name, Json const& rule) {
    if (rule.at("type") == "text") return text(name, rule);
    if (auto const found = datasets_.find(name); found != datasets_.end()) return one(name, found->second, rule, 0);
    missing(name, rule);
  }

  void missing(std::string const& name, Json const& rule) const {
    if (!rule.value("optional", false)) throw Error("the file lacks " + name, again(), {.file = path_});
  }

  void text(std::string const& name, Json const& rule) {
    auto const bytes = datasets_.find(name + "/bytes"), offsets = datasets_.find(name + "/offsets");
    if (bytes == datasets_.end() && offsets == datasets_.end()) return missing(name, rule);
    if (bytes == datasets_.end()) throw Error("the file lacks " + name + "/bytes", again(), {.file = path_});
    if (offsets == datasets_.end()) throw Error("the file lacks " + name + "/offsets", again(), {.file = path_});
    one(bytes->first, bytes->second, Json{{"type", "uint8"}, {"shape", {name + "/bytes"}}}, 0);
    auto column = rule;
    column["type"] = "int64";
    one(offsets->first, offsets->second, column, 1);
  }

  void one(std::string const& name, DatasetInfo const& info, Json const& rule, int64_t extra) {
    auto const& types = rule.at("type");
    auto const wanted = (types.is_array() ? types : Json::array({types})).get<std::vector<std::string>>();
    if (std::find(wanted.begin(), wanted.end(), to_string(info.dtype)) == wanted.end())
      throw Error("dtype is " + to_string(info.dtype) + ", the schema wants " + joined(wanted, " or "), again(),
                  place(name));
    if (!rule.contains("shape")) return;
    auto const& shape = rule.at("shape");
    if (shape.size() != info.shape.size())
      throw Error("has " + std::to_string(info.shape.size()) + " dimensions, the schema wants " +
                      std::to_string(shape.size()),
                  again(), place(name));
    for (std::size_t axis = 0; axis < shape.size(); ++axis) length(name, shape[axis], info.shape[axis] - extra);
  }

  void length(std::string const& name, Json const& wanted, int64_t found) {
    if (found < 0) throw Error("is empty, a text column has one offset more than rows", again(), place(name));
    if (wanted.is_number()) {
      if (wanted != found)
        throw Error("has length " + std::to_string(found) + ", the schema wants " + dump_text(wanted), again(),
                    place(name));
      return;
    }
    auto const [known, added] = lengths_.try_emplace(wanted.get<std::string>(), found, name);
    if (!added && known->second.first != found)
      throw Error("has " + std::to_string(found) + " " + known->first + ", but " + known->second.second + " has " +
                      std::to_string(known->second.first),
                  again(), place(name));
  }

  Json const& schema_;
  std::map<std::string, DatasetInfo> const& datasets_;
  std::map<std::string, std::string> const& kinds_;
  std::filesystem::path const& path_;
  std::string made_by_;
  std::map<std::string, std::pair<int64_t, std::string>> lengths_;
};

}  // namespace

void check_schema(std::string const& schema, std::map<std::string, DatasetInfo> const& datasets,
                  std::map<std::string, std::string> const& kinds, std::filesystem::path const& path) {
  auto const rules = load_schema(schema, path);
  Checker(rules, datasets, kinds, path).run();
}

}  // namespace refrain::h5

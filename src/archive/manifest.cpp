#include <refrain/archive/manifest.hpp>

#include <refrain/base/joined.hpp>
#include <refrain/base/option_text.hpp>

#include <algorithm>
#include <ranges>
#include <string_view>

namespace refrain::archive {
namespace {

namespace fs = std::filesystem;

constexpr char again[] = "the archive is damaged or not ours; make it again";

Json to_json(Extent const& extent) { return {{"bytes", extent.bytes}, {"sha256", extent.sha256}}; }

Extent extent_from(Json const& json, fs::path const& path) {
  Extent extent{.bytes = json_get<int64_t>(json, "bytes", path), .sha256 = json_get<std::string>(json, "sha256", path)};
  if (extent.bytes < 0 || extent.sha256.size() != 64)
    throw Error("a file's size or digest makes no sense", again, {.file = path, .object = "/manifest"});
  return extent;
}

/// Relative, of plain names: nothing that is restored may land outside its folder.
std::string plain_path(std::string const& text, fs::path const& path) {
  bool plain = !text.empty() && text.find('\0') == std::string::npos;
  for (auto const part : text | std::views::split('/')) {
    std::string_view const name(part.begin(), part.end());
    plain = plain && !name.empty() && name != "." && name != "..";
  }
  if (!plain)
    throw Error("'" + text + "' is no path of a file in an archive", again, {.file = path, .object = "/manifest"});
  return text;
}

std::vector<Json> list_of(Json const& json, char const* key, fs::path const& path) {
  auto const list = json_get<Json>(json, key, path);
  if (!list.is_array()) throw Error(std::string(key) + " is no list", again, {.file = path, .object = "/manifest"});
  return {list.begin(), list.end()};
}

}  // namespace

bool StoredRun::owns(std::string const& path) const {
  return path.starts_with(name + "/") || path == name + ".starts.jsonl";
}

Json Manifest::to_json() const {
  Json json{{"anonymous", anonymous}, {"runs", Json::array()}, {"files", Json::array()}, {"left_out", Json::array()}};
  for (auto const& run : runs) json["runs"].push_back({{"name", run.name}, {"summary", run.summary}});
  for (auto const& file : files) {
    Json entry{{"path", file.path}};
    entry.update(archive::to_json(file.stored));
    if (!file.without.empty()) {
      entry["without"] = file.without;
      entry["original"] = archive::to_json(file.original);
    }
    json["files"].push_back(entry);
  }
  for (auto const& item : left_out) json["left_out"].push_back({{"path", item.path}, {"why", item.why}});
  return json;
}

Manifest Manifest::from_json(Json const& json, fs::path const& path) {
  Manifest manifest{.anonymous = json_get<bool>(json, "anonymous", path), .runs = {}, .files = {}, .left_out = {}};
  for (auto const& run : list_of(json, "runs", path))
    manifest.runs.push_back({.name = plain_path(json_get<std::string>(run, "name", path), path),
                             .summary = json_get<Json>(run, "summary", path)});
  for (auto const& file : list_of(json, "files", path)) {
    StoredFile entry{.path = plain_path(json_get<std::string>(file, "path", path), path),
                     .stored = extent_from(file, path),
                     .without = json_get_or<std::string>(file, "without", "", path),
                     .original = {}};
    entry.original = entry.without.empty() ? entry.stored : extent_from(json_get<Json>(file, "original", path), path);
    manifest.files.push_back(std::move(entry));
  }
  for (auto const& item : list_of(json, "left_out", path))
    manifest.left_out.push_back(
        {.path = json_get<std::string>(item, "path", path), .why = json_get<std::string>(item, "why", path)});
  return manifest;
}

void Manifest::sort() {
  std::sort(runs.begin(), runs.end(), [](auto const& a, auto const& b) { return a.name < b.name; });
  std::sort(files.begin(), files.end(), [](auto const& a, auto const& b) { return a.path < b.path; });
  std::sort(left_out.begin(), left_out.end(), [](auto const& a, auto const& b) { return a.path < b.path; });
}

int64_t Manifest::bytes() const {
  int64_t sum = 0;
  for (auto const& file : files) sum += file.stored.bytes;
  return sum;
}

bool Manifest::has(std::string const& path) const {
  return std::any_of(files.begin(), files.end(),
                     [&](auto const& file) { return file.path == path || file.path.starts_with(path + "/"); });
}

StoredRun const* Manifest::find_run(std::string const& name) const {
  auto const found = std::find_if(runs.begin(), runs.end(), [&](auto const& run) { return run.name == name; });
  return found == runs.end() ? nullptr : &*found;
}

std::string Manifest::runs_like(std::string const& name) const {
  std::vector<std::string> names;
  for (auto const& run : runs) {
    if (run.name.ends_with("/" + name)) return "did you mean " + run.name + "?";
    names.push_back(run.name);
  }
  return option_text::suggestion(name, names, "", "it has " + joined(names));
}

}  // namespace refrain::archive

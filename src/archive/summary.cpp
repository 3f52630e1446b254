#include <refrain/archive/summary.hpp>

#include <refrain/base/counted.hpp>
#include <refrain/base/json_lines.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/h5/reader.hpp>

#include <map>
#include <numeric>

namespace refrain::archive {
namespace {

namespace fs = std::filesystem;

/// A digest as all our files write it: hexadecimal, of SHA-256.
bool is_digest(Json const& value) {
  if (!value.is_string()) return false;
  auto const& text = value.get_ref<std::string const&>();
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Json part(Json const& object, char const* key) {
  return object.is_object() && object.contains(key) ? object.at(key) : Json();
}

void add_versions(Json& versions, Json const& provenance, std::string const& of) {
  for (char const* key : {"version", "git_revision", "libraries"})
    if (auto const value = part(provenance, key); !value.is_null()) versions[of][key] = value;
}

/// Digests by the files' own names, without their folders.
void add_inputs(Json& inputs, Json const& provenance, std::string const& of) {
  auto const digests = part(provenance, "inputs");
  if (!digests.is_object()) return;
  for (auto const& [path, digest] : digests.items()) inputs[of][fs::path(path).filename().string()] = digest;
}

void add_training(Json& summary, fs::path const& run) {
  auto const file = run / "run.json";
  if (!fs::exists(file)) return;
  auto const record = read_sealed_json(file);
  auto const identity = part(record, "identity");
  if (identity.is_object())
    for (auto const& [key, value] : identity.items()) summary[is_digest(value) ? "inputs" : "settings"][key] = value;
  auto const starts = part(record, "starts");
  auto const last = starts.is_array() && !starts.empty() ? part(starts.back(), "provenance") : Json();
  if (auto const layout = part(last, "layout"); !layout.is_null()) summary["settings"]["layout"] = layout;
  add_versions(summary["versions"], last, "training");
}

/// The numbers of the last training row and of the last evaluation row.
void add_metrics(Json& results, fs::path const& run) {
  auto const file = run / "metrics.jsonl";
  if (!fs::exists(file)) return;
  Json rows = Json::object();
  for (auto const& row : read_json_lines(file))
    for (char const* prefix : {"", "eval_"}) {
      if (!row.contains(prefix + std::string("loss"))) continue;
      for (char const* key : {"loss", "rewards/accuracies", "rewards/margins"})
        if (auto const value = part(row, (prefix + std::string(key)).c_str()); !value.is_null())
          rows[prefix + std::string(key)] = value;
    }
  results.update(rows);
}

void add_results(Json& results, fs::path const& run) {
  if (auto const file = run / "status.json"; fs::exists(file)) {
    auto const status = read_sealed_json(file);
    for (char const* key : {"state", "step", "steps"})
      if (auto const value = part(status, key); !value.is_null()) results[key] = value;
  }
  add_metrics(results, run);
  if (auto const file = run / "eval.json"; fs::exists(file)) results["evaluation"] = read_sealed_json(file);
}

/// Answers that are unsafe by the final labels, of those that were decided.
struct Asr {
  int64_t unsafe = 0, decided = 0;

  Json json() const {
    return {{"unsafe", unsafe},
            {"decided", decided},
            {"asr", decided == 0 ? Json() : Json(double(unsafe) / double(decided))}};
  }
};

void add_verdicts(Json& summary, fs::path const& run) {
  auto const file = run / "verdicts.h5";
  if (!fs::exists(file)) return;
  h5::Reader const reader(file, "verdicts.v1");
  auto const& provenance = reader.provenance();
  auto const answers = part(provenance, "responses");
  add_inputs(summary["inputs"], answers, "answers");
  add_versions(summary["versions"], answers, "answers");
  add_versions(summary["versions"], provenance, "verdicts");
  auto const options = part(answers, "options");
  for (char const* key : {"max-new-tokens", "temperature", "top-p", "top-k", "samples", "seed", "stop", "dtype"})
    if (auto const value = part(options, key); !value.is_null()) summary["settings"]["answers"][key] = value;
  if (auto const judges = part(provenance, "judges"); !judges.is_null()) summary["settings"]["judges"] = judges;
  if (!reader.contains("/final/label")) return;
  auto const labels = reader.read<int8_t>("/final/label");
  auto const languages = reader.read_text("/verdict/language");
  std::map<std::string, Asr> counts;
  for (std::size_t row = 0; row < labels.size(); ++row)
    for (auto const& language : {std::string("all"), languages[row]}) {
      counts[language].unsafe += labels[row] == 1;
      counts[language].decided += labels[row] >= 0;
    }
  for (auto const& [language, count] : counts) summary["results"]["asr"][language] = count.json();
}

int64_t count_values(Json const& value) {
  if (!value.is_object()) return 1;
  return std::accumulate(value.begin(), value.end(), int64_t{0},
                         [](int64_t sum, Json const& inner) { return sum + count_values(inner); });
}

/// A value as it stands; of a group how many it has. Nothing for none.
std::string text_of(Json const* value) {
  if (value == nullptr || (value->is_object() && count_values(*value) == 0)) return {};
  if (value->is_object()) return counted(count_values(*value), "value");
  return value->is_string() ? value->get<std::string>() : dump_text(*value);
}

Json const* find(Json const& group, std::string const& name) {
  auto const found = group.find(name);
  return found == group.end() ? nullptr : &*found;
}

/// Both sides of what is called `key`, where `of` is part of a summary; null where a side lacks it.
void compare_values(Json const* first, Json const* second, std::string const& of, std::string const& key,
                    std::vector<Difference>& differences) {
  if (first == nullptr || second == nullptr || !first->is_object() || !second->is_object()) {
    if (auto const a = text_of(first), b = text_of(second); a != b) differences.push_back({of, key, a, b});
    return;
  }
  auto const inside = [&](std::string const& name) { return key.empty() ? name : key + "." + name; };
  for (auto const& [name, value] : first->items())
    compare_values(&value, find(*second, name), of, inside(name), differences);
  for (auto const& [name, value] : second->items())
    if (!first->contains(name)) compare_values(nullptr, &value, of, inside(name), differences);
}

}  // namespace

Json summarise(fs::path const& run) {
  Json summary{{"settings", Json::object()},
               {"inputs", Json::object()},
               {"versions", Json::object()},
               {"results", Json::object()}};
  add_training(summary, run);
  add_results(summary["results"], run);
  add_verdicts(summary, run);
  return summary;
}

std::vector<Difference> compare(Json const& first, Json const& second) {
  std::vector<Difference> differences;
  for (char const* of : {"settings", "inputs", "versions", "results"})
    compare_values(find(first, of), find(second, of), of, "", differences);
  return differences;
}

}  // namespace refrain::archive

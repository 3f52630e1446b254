#include <refrain/base/anonymous.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace refrain {
namespace {

/// Keys that name people, places or jobs, or hold free text that may.
constexpr std::array<std::string_view, 17> private_keys{
    "host", "hosts",  "hostname", "slurm",    "user", "account", "cluster", "nodelist", "error",
    "job",  "job_id", "command",  "endpoint", "url",  "started", "config",  "machine"};

/// A path or an address, or what may be one.
bool is_place(std::string const& text) {
  if (text.find('/') != std::string::npos || text.starts_with("~")) return true;
  static constexpr std::array<std::string_view, 6> ends{".h5", ".json", ".jsonl", ".parquet", ".ini", ".ftz"};
  return std::any_of(ends.begin(), ends.end(), [&](auto end) { return text.ends_with(end); });
}

}  // namespace

Json anonymised(Json const& record) {
  if (record.is_string()) return is_place(record.get_ref<std::string const&>()) ? Json("(left out)") : record;
  if (record.is_array()) {
    Json list = Json::array();
    for (auto const& item : record) list.push_back(anonymised(item));
    return list;
  }
  if (!record.is_object()) return record;
  Json object = Json::object();
  int64_t left_out = 0;
  for (auto const& [key, inner] : record.items()) {
    if (std::find(private_keys.begin(), private_keys.end(), key) != private_keys.end()) continue;
    object[is_place(key) ? std::to_string(++left_out) : key] = anonymised(inner);
  }
  return object;
}

}  // namespace refrain

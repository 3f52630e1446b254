#include <refrain/train/layout_choice.hpp>

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace refrain::train {
namespace {

namespace fs = std::filesystem;

/// The number in a file of one line; nothing where it is not there or says "max".
std::optional<int64_t> number_in(fs::path const& path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

/// What a control group and those above it leave of their limits. Version 2, or the memory controller of version 1.
int64_t left_by_groups(int64_t most) {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    auto const first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string const controllers = line.substr(first + 1, second - first - 1);
    bool const unified = controllers.empty();
    if (!unified && controllers.find("memory") == std::string::npos) continue;
    fs::path const root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    char const* const limit_name = unified ? "memory.max" : "memory.limit_in_bytes";
    char const* const used_name = unified ? "memory.current" : "memory.usage_in_bytes";
    for (fs::path group = root / line.substr(second + 2);; group = group.parent_path()) {
      auto const limit = number_in(group / limit_name), used = number_in(group / used_name);
      if (limit && used) most = std::min(most, std::max<int64_t>(0, *limit - *used));
      if (group == root || !group.has_relative_path()) break;
    }
  }
  return most;
}

}  // namespace

int64_t available_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string word; file >> word;)
    if (int64_t kibibytes = 0; word == "MemAvailable:" && file >> kibibytes) return left_by_groups(kibibytes * 1024);
  throw Error("the system does not say how much memory is free", "mount /proc", {.file = "/proc/meminfo"});
}

int64_t resident_memory() {
  std::ifstream file("/proc/self/statm");
  int64_t whole = 0, resident = 0;
  file >> whole >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace refrain::train

#include <refrain/base/error.hpp>
#include <refrain/base/host_memory.hpp>

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace refrain {
namespace {

namespace fs = std::filesystem;

/// The number in a file of one line; nothing where it is not there or says "max".
std::optional<int64_t> number_in(fs::path const& path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

/// Bytes of a group's pages of files that can be dropped at once, from its memory.stat.
int64_t droppable(fs::path const& statistics, std::string const& name) {
  std::ifstream file(statistics);
  std::string word;
  for (int64_t value = 0; file >> word >> value;)
    if (word == name) return value;
  return 0;
}

}  // namespace

int64_t left_by_control_groups(int64_t most, fs::path const& groups, fs::path const& root) {
  std::ifstream lines(groups);
  for (std::string line; std::getline(lines, line);) {
    auto const first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    // Version 2, or the memory controller of version 1.
    std::string const controllers = line.substr(first + 1, second - first - 1);
    bool const unified = controllers.empty();
    if (!unified && controllers.find("memory") == std::string::npos) continue;
    fs::path const top = unified ? root : root / "memory";
    for (fs::path group = top / line.substr(second + 2);; group = group.parent_path()) {
      auto const limit = number_in(group / (unified ? "memory.max" : "memory.limit_in_bytes"));
      auto const used = number_in(group / (unified ? "memory.current" : "memory.usage_in_bytes"));
      int64_t const files = droppable(group / "memory.stat", unified ? "inactive_file" : "total_inactive_file");
      if (limit && used) most = std::min(most, std::max<int64_t>(0, *limit - *used + files));
      if (group == top || !group.has_relative_path()) break;
    }
  }
  return most;
}

int64_t available_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string word; file >> word;)
    if (int64_t kibibytes = 0; word == "MemAvailable:" && file >> kibibytes)
      return left_by_control_groups(kibibytes * 1024, "/proc/self/cgroup", "/sys/fs/cgroup");
  throw Error("the system does not say how much memory is free", "mount /proc", {.file = "/proc/meminfo"});
}

int64_t resident_memory() {
  std::ifstream file("/proc/self/statm");
  int64_t whole = 0, resident = 0;
  file >> whole >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace refrain

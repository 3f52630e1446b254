#include <refrain/base/process.hpp>
#include <refrain/base/provenance.hpp>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

namespace refrain {
namespace {

struct ProcessState {
  char letter;    ///< 'Z' for one that ended and was not yet collected
  int64_t start;  ///< clock ticks after boot
};

std::optional<ProcessState> process_state(int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return std::nullopt;
  // The second field is the program's name in parentheses and may hold spaces: count from the last parenthesis.
  auto const close = text.rfind(')');
  if (close == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(close + 1));
  ProcessState state{};
  rest >> state.letter;
  std::string field;
  for (int number = 4; number <= 22 && rest >> field; ++number) {}
  state.start = std::strtoll(field.c_str(), nullptr, 10);
  return state;
}

std::string machine_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  std::getline(file, boot);
  std::error_code ignored;
  return boot + " " + std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string();
}

}  // namespace

ProcessId ProcessId::myself() {
  ProcessId me{.host = host_name(), .machine = machine_id(), .pid = ::getpid()};
  if (auto const state = process_state(me.pid)) me.start = state->start;
  return me;
}

ProcessId ProcessId::from_json(Json const& json) {
  return {.host = json.at("host").get<std::string>(),
          .machine = json.at("machine").get<std::string>(),
          .pid = json.at("pid").get<int64_t>(),
          .start = json.at("start").get<int64_t>()};
}

Json ProcessId::json() const { return {{"host", host}, {"machine", machine}, {"pid", pid}, {"start", start}}; }

Life process_life(ProcessId const& process) {
  if (process.machine.empty() || process.machine != machine_id()) return Life::unknown;
  auto const state = process_state(process.pid);
  if (!state || state->letter == 'Z' || state->letter == 'X' || state->start != process.start) return Life::dead;
  return Life::alive;
}

}  // namespace refrain

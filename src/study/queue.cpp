#include <refrain/base/log.hpp>
#include <refrain/study/process.hpp>
#include <refrain/study/queue.hpp>

#include <sstream>

#include <unistd.h>

namespace refrain::study {

Queue::Queue(std::string const& listing) {
  std::istringstream lines(listing);
  for (std::string line; std::getline(lines, line);) {
    auto const first = line.find('|'), second = line.find('|', first + 1);
    if (second == std::string::npos) continue;
    auto const state = line.substr(second + 1);
    states_[line.substr(0, first)] = state;
    states_[line.substr(first + 1, second - first - 1)] = state;
  }
}

Queue Queue::ask() {
  if (!in_path("squeue")) return {};
  auto const answer = run_captured(
      {"timeout", "10", "squeue", "--noheader", "--array", "--user=" + std::to_string(getuid()), "--format=%i|%A|%T"},
      Stderr::capture);
  if (answer.code == 0) return Queue(answer.text);
  log_warning("squeue does not answer (" + answer.text.substr(0, answer.text.find('\n')) +
              "): states are told from files alone");
  return {};
}

std::string Queue::state(std::string const& job) const {
  auto const found = states_.find(job);
  return found == states_.end() ? std::string{} : found->second;
}

}  // namespace refrain::study

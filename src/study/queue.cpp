#include <refrain/base/log.hpp>
#include <refrain/study/process.hpp>
#include <refrain/study/queue.hpp>

#include <sstream>

#include <unistd.h>

namespace refrain::study {

Queue::Queue(std::string const& listing) {
  std::istringstream lines(listing);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string id, number, state, name;
    auto const next = [&](std::string& field) -> bool { return bool(std::getline(fields, field, '|')); };
    if (!next(id) || !next(number) || !next(state) || !std::getline(fields, name)) continue;
    states_[id] = state;
    states_[number] = state;
    ++counts_[name][state];
  }
}

Queue Queue::ask() {
  if (!in_path("squeue")) return {};
  auto const answer = run_captured({"timeout", "10", "squeue", "--noheader", "--array",
                                    "--user=" + std::to_string(getuid()), "--format=%i|%A|%T|%j"},
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

std::string Queue::text() const {
  std::string text;
  for (auto const& [name, states] : counts_) {
    text += (text.empty() ? "" : "; ") + name + ":";
    bool first = true;
    for (auto const& [state, count] : states) {
      text += (first ? " " : ", ") + std::to_string(count) + " " + state;
      first = false;
    }
  }
  return text;
}

}  // namespace refrain::study

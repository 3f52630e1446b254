#include <refrain/base/error.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/process.hpp>
#include <refrain/study/settings.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace refrain::study {

namespace {

/// Where a child's output goes: -1 leaves a stream as it is.
struct Streams {
  int out = -1, err = -1;
};

/// This process's environment with `variables` in it, as NAME=VALUE.
Words environment_with(Variables const& variables) {
  auto all = current_environment();
  for (auto const& [name, value] : variables) all[name] = value;
  Words lines;
  for (auto const& [name, value] : all)
    if (auto const own = variables.find(name); own == variables.end() || !own->second.empty())
      lines.push_back(name + "=" + value);
  return lines;
}

/// As exec wants them, with a null at the end. They live as long as `words`.
std::vector<char*> pointers_to(Words const& words) {
  std::vector<char*> pointers;
  for (auto const& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

pid_t start(Words const& command, Variables const& variables, Streams streams) {
  // Everything that allocates is done before the fork.
  auto const arguments = pointers_to(command);
  auto const environment = environment_with(variables);
  auto const environment_pointers = pointers_to(environment);
  std::string const missing = command.front() + ": ";

  pid_t const parent = getpid();
  pid_t const child = fork();
  if (child < 0) throw system_error("start " + command.front());
  if (child > 0) return child;

  // A launcher whose study was killed has nobody left who would requeue it.
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(127);
  for (int const signal : {SIGTERM, SIGINT}) std::signal(signal, SIG_DFL);
  std::signal(SIGUSR1, SIG_IGN);  // one that comes before the program has its handlers must not kill it; it is repeated
  if (streams.out >= 0) dup2(streams.out, STDOUT_FILENO);
  if (streams.err >= 0) dup2(streams.err, STDERR_FILENO);
  execvpe(arguments[0], arguments.data(), environment_pointers.data());
  auto const* reason = std::strerror(errno);
  for (auto const* text : {missing.c_str(), reason, "\n"}) [[maybe_unused]]
    auto const written = write(STDERR_FILENO, text, std::strlen(text));
  _exit(127);
}

int shell_code(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

}  // namespace

Captured run_captured(Words const& command, Stderr err, Variables const& variables) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error("make a pipe to " + command.front());
  pid_t const child = start(command, variables, {.out = ends[1], .err = err == Stderr::capture ? ends[1] : -1});
  close(ends[1]);

  Captured result;
  std::array<char, 4096> buffer{};
  for (;;) {
    auto const count = read(ends[0], buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    result.text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw system_error("wait for " + command.front());
  result.code = shell_code(status);
  return result;
}

int run_forwarding(Words const& command, Variables const& variables) {
  using Clock = std::chrono::steady_clock;
  constexpr auto interval = std::chrono::seconds(5);
  pid_t const child = start(command, variables, {});
  auto next = Clock::time_point::min();
  for (;;) {
    int status = 0;
    pid_t const ended = waitpid(child, &status, WNOHANG);
    if (ended == child) return shell_code(status);
    if (ended < 0 && errno != EINTR) throw system_error("wait for " + command.front());
    if (stop_requested() && Clock::now() >= next) {
      kill(child, SIGUSR1);
      next = Clock::now() + interval;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

bool in_path(std::string const& program) {
  auto const* path = std::getenv("PATH");
  std::string const folders = path ? path : "";
  for (std::size_t begin = 0; begin <= folders.size();) {
    auto const end = std::min(folders.find(':', begin), folders.size());
    auto const file = std::filesystem::path(folders.substr(begin, end - begin)) / program;
    if (access(file.c_str(), X_OK) == 0) return true;
    begin = end + 1;
  }
  return false;
}

}  // namespace refrain::study

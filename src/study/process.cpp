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
#include <utility>

#include <fcntl.h>
#include <poll.h>
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

/// The end of a pipe that is read here, and the one that is a child's stream.
struct Pipe {
  explicit Pipe(std::string const& to) {
    if (pipe2(ends_.data(), O_CLOEXEC) != 0) throw system_error("make a pipe to " + to);
  }
  ~Pipe() {
    close(ends_[0]);
    close_ours();
  }
  Pipe(Pipe const&) = delete;
  Pipe& operator=(Pipe const&) = delete;

  int theirs() const noexcept { return ends_[1]; }
  /// Once the child has its own copy, so that the reading end sees it end.
  void close_ours() noexcept {
    if (ends_[1] >= 0) close(std::exchange(ends_[1], -1));
  }
  int reading() const noexcept { return ends_[0]; }

private:
  std::array<int, 2> ends_{-1, -1};
};

/// Waits for the child; meanwhile passes a stop on to it, and calls `idle`, which takes some milliseconds.
template <class Idle>
int wait_forwarding(pid_t child, std::string const& name, Idle idle) {
  using Clock = std::chrono::steady_clock;
  constexpr auto interval = std::chrono::seconds(5);
  auto next = Clock::time_point::min();
  for (;;) {
    int status = 0;
    pid_t const ended = waitpid(child, &status, WNOHANG);
    if (ended == child) return shell_code(status);
    if (ended < 0 && errno != EINTR) throw system_error("wait for " + name);
    if (stop_requested() && Clock::now() >= next) {
      kill(child, SIGUSR1);
      next = Clock::now() + interval;
    }
    idle();
  }
}

constexpr int idle_milliseconds = 50;

/// Passes on to stderr what comes within `milliseconds`, and keeps the end of it in `text`.
/// @returns whether anything came
bool pass_on(int reading, int milliseconds, std::string& text) {
  constexpr std::size_t kept_bytes = 1 << 16;
  pollfd waiting{.fd = reading, .events = POLLIN, .revents = 0};
  if (poll(&waiting, 1, milliseconds) <= 0) return false;
  std::array<char, 4096> buffer{};
  auto const count = read(reading, buffer.data(), buffer.size());
  if (count <= 0) return false;
  std::fwrite(buffer.data(), 1, static_cast<std::size_t>(count), stderr);
  text.append(buffer.data(), static_cast<std::size_t>(count));
  if (text.size() > 2 * kept_bytes) text.erase(0, text.size() - kept_bytes);
  return true;
}

}  // namespace

Captured run_captured(Words const& command, Stderr err, Variables const& variables) {
  Pipe pipe(command.front());
  pid_t const child =
      start(command, variables, {.out = pipe.theirs(), .err = err == Stderr::capture ? pipe.theirs() : -1});
  pipe.close_ours();

  Captured result;
  std::array<char, 4096> buffer{};
  for (;;) {
    auto const count = read(pipe.reading(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    result.text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw system_error("wait for " + command.front());
  result.code = shell_code(status);
  return result;
}

int run_forwarding(Words const& command, Variables const& variables) {
  pid_t const child = start(command, variables, {});
  return wait_forwarding(child, command.front(),
                         [] { std::this_thread::sleep_for(std::chrono::milliseconds(idle_milliseconds)); });
}

Captured run_listening(Words const& command, Variables const& variables) {
  Pipe pipe(command.front());
  pid_t const child = start(command, variables, {.err = pipe.theirs()});
  pipe.close_ours();
  Captured result;
  result.code = wait_forwarding(child, command.front(), [&] {
    // At the end of a stream that the program closed before it ended, poll answers at once.
    if (!pass_on(pipe.reading(), idle_milliseconds, result.text))
      std::this_thread::sleep_for(std::chrono::milliseconds(idle_milliseconds / 10));
  });
  while (pass_on(pipe.reading(), 0, result.text)) {}
  return result;
}

std::string first_line(std::string const& text) { return text.substr(0, text.find('\n')); }

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

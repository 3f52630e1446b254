#include <refrain/base/error.hpp>
#include <refrain/base/signals.hpp>

#include <csignal>

#include <unistd.h>

namespace refrain {
namespace {

std::sig_atomic_t volatile received = 0;

constexpr int stop_signals[] = {SIGUSR1, SIGTERM, SIGINT};

void note(int signal) {
  if (signal == SIGINT && received == SIGINT) ::_exit(128 + SIGINT);
  received = signal;
}

}  // namespace

void install_stop_handlers() {
  struct sigaction action{};
  action.sa_handler = note;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;  // a write to a checkpoint goes on
  for (int const signal : stop_signals)
    if (::sigaction(signal, &action, nullptr) != 0) throw system_error("install a signal handler");
}

void restore_stop_signals() {
  for (int const signal : stop_signals) std::signal(signal, SIG_DFL);
}

bool stop_requested() noexcept { return received != 0; }
int stop_signal() noexcept { return received; }

}  // namespace refrain

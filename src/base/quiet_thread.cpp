#include <refrain/base/quiet_thread.hpp>

#include <csignal>
#include <utility>

namespace refrain {

std::thread quiet_thread(std::function<void()> work) {
  // A thread begins with the signal mask of the one that makes it.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(work));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace refrain

#include <catch2/catch.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/process.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

using namespace refrain;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / ("refrain-lock-" + std::to_string(::getpid()));
  Folder() {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  fs::path lock() const { return path / "lock"; }
};

/// A process that does `work` and ends with its return value.
template <class Work>
pid_t child(Work work) {
  pid_t const pid = ::fork();
  if (pid == 0) ::_exit(work());
  return pid;
}

int exit_of(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// A lock that a process held which is gone: killed while it held it.
void leave_dead_lock(fs::path const& path) {
  pid_t const pid = child([&] {
    FolderLock const lock = FolderLock::acquire(path);
    ::raise(SIGKILL);
    return 0;
  });
  REQUIRE(exit_of(pid) == -SIGKILL);
  REQUIRE(fs::exists(path));
}

void set_age(fs::path const& path, int seconds) {
  timespec times[2] = {{.tv_sec = ::time(nullptr) - seconds, .tv_nsec = 0}, {.tv_sec = ::time(nullptr) - seconds, .tv_nsec = 0}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

void write_foreign_lock(fs::path const& path, ProcessId process) {
  write_json(path, {{"token", "abcdef0123456789"}, {"process", process.json()}, {"slurm_job", "77"}, {"since", "2026-01-31T12:00:00Z"}});
}

}  // namespace

TEST_CASE("a lock is held by one and released") {
  Folder const folder;
  {
    FolderLock const lock = FolderLock::acquire(folder.lock());
    CHECK_FALSE(lock.lost());
    lock.require_held();
    REQUIRE_THROWS_WITH(FolderLock::acquire(folder.lock()), Catch::StartsWith("another job is at work here: process " + std::to_string(::getpid())));
    REQUIRE_THROWS_AS(FolderLock::wait(folder.lock(), 0.3), Error);
  }
  CHECK(fs::is_empty(folder.path));
  FolderLock const again = FolderLock::acquire(folder.lock());
}

TEST_CASE("a lock in a folder that is not there says so") {
  REQUIRE_THROWS_WITH(FolderLock::acquire("/nowhere/at/all/lock"), Catch::Contains("No such file or directory"));
}

TEST_CASE("wait gets the lock when the holder releases it") {
  Folder const folder;
  pid_t const pid = child([&] {
    FolderLock const lock = FolderLock::acquire(folder.lock());
    std::this_thread::sleep_for(400ms);
    return 0;
  });
  while (!fs::exists(folder.lock())) std::this_thread::sleep_for(10ms);
  { FolderLock const lock = FolderLock::wait(folder.lock(), 20); }
  CHECK(exit_of(pid) == 0);
}

TEST_CASE("the lock of a dead process is taken over at once, by exactly one of those who try together") {
  Folder const folder;
  for (int round = 0; round < 20; ++round) {
    leave_dead_lock(folder.lock());
    constexpr int rivals = 4;
    fs::path const go = folder.path / "go";
    pid_t pids[rivals];
    for (pid_t& pid : pids)
      pid = child([&] {
        while (!fs::exists(go)) std::this_thread::sleep_for(1ms);
        try {
          FolderLock const lock = FolderLock::acquire(folder.lock());
          std::this_thread::sleep_for(150ms);  // longer than the others need to try
          lock.require_held();
          return 10;
        } catch (Error const&) {
          return 20;
        }
      });
    write_file_atomically(go, "");
    int winners = 0, losers = 0;
    for (pid_t const pid : pids) {
      int const code = exit_of(pid);
      winners += code == 10;
      losers += code == 20;
    }
    CHECK(winners == 1);
    CHECK(losers == rivals - 1);
    fs::remove(go);
    CHECK(fs::is_empty(folder.path));
  }
}

TEST_CASE("of those who start together on a free folder exactly one gets the lock") {
  Folder const folder;
  for (int round = 0; round < 20; ++round) {
    fs::path const go = folder.path / "go";
    pid_t pids[2];
    for (pid_t& pid : pids)
      pid = child([&] {
        while (!fs::exists(go)) std::this_thread::sleep_for(1ms);
        try {
          FolderLock const lock = FolderLock::acquire(folder.lock());
          std::this_thread::sleep_for(100ms);
          return 10;
        } catch (Error const&) {
          return 20;
        }
      });
    write_file_atomically(go, "");
    CHECK(exit_of(pids[0]) + exit_of(pids[1]) == 30);
    fs::remove(go);
  }
}

TEST_CASE("a pid that is used again does not keep a lock alive") {
  Folder const folder;
  ProcessId other = ProcessId::myself();
  other.start -= 100;  // this pid, but an earlier process
  write_foreign_lock(folder.lock(), other);
  FolderLock const lock = FolderLock::acquire(folder.lock());
}

TEST_CASE("a holder on another host is refused while its heart beats, and replaced when it stopped") {
  Folder const folder;
  write_foreign_lock(folder.lock(), {.host = "elsewhere", .machine = "another boot", .pid = 1, .start = 1});
  set_age(folder.lock(), 3600);  // by the clocks it is old, but clocks of hosts differ: the heartbeat decides
  std::jthread const heart([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      ::utimensat(AT_FDCWD, folder.lock().c_str(), nullptr, 0);
      std::this_thread::sleep_for(300ms);
    }
  });
  REQUIRE_THROWS_WITH(FolderLock::acquire(folder.lock()), Catch::Contains("process 1 on elsewhere, Slurm job 77, since 2026-01-31T12:00:00Z"));
}

TEST_CASE("the lock of another host that beats no more is taken over after a watch") {
  Folder const folder;
  write_foreign_lock(folder.lock(), {.host = "elsewhere", .machine = "another boot", .pid = 1, .start = 1});
  set_age(folder.lock(), 3600);
  auto const begin = std::chrono::steady_clock::now();
  FolderLock const lock = FolderLock::acquire(folder.lock());
  CHECK(std::chrono::steady_clock::now() - begin > 4s);
}

TEST_CASE("who loses the lock notices, and leaves the new holder's alone") {
  Folder const folder;
  {
    FolderLock const lock = FolderLock::acquire(folder.lock());
    write_foreign_lock(folder.lock(), {.host = "elsewhere", .machine = "another boot", .pid = 1, .start = 1});
    REQUIRE_THROWS_WITH(lock.require_held(), Catch::Contains("its lock was taken by process 1 on elsewhere"));
    for (int i = 0; i < 60 && !lock.lost(); ++i) std::this_thread::sleep_for(100ms);
    CHECK(lock.lost());
  }
  CHECK(read_json(folder.lock())["slurm_job"] == "77");
}

TEST_CASE("a lock file without content is held while it is fresh, and replaced when it is old") {
  Folder const folder;
  write_file_atomically(folder.lock(), "");
  REQUIRE_THROWS_AS(FolderLock::wait(folder.lock(), 0.5), Error);
  set_age(folder.lock(), 3600);
  FolderLock const lock = FolderLock::acquire(folder.lock());
}

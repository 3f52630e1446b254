#include "fixtures.hpp"

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
#include <vector>

using namespace refrain;
using namespace refrain::testing;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

struct Folder : TemporaryFolder {
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
  timespec times[2] = {{.tv_sec = ::time(nullptr) - seconds, .tv_nsec = 0},
                       {.tv_sec = ::time(nullptr) - seconds, .tv_nsec = 0}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

void write_foreign_lock(fs::path const& path, ProcessId process) {
  write_json(path, {{"token", "abcdef0123456789"},
                    {"process", process.json()},
                    {"slurm_job", "77"},
                    {"since", "2026-01-31T12:00:00Z"}});
}

}  // namespace

TEST_CASE("a lock is held by one and released") {
  Folder const folder;
  {
    FolderLock const lock = FolderLock::acquire(folder.lock());
    lock.require_held();
    REQUIRE_THROWS_WITH(FolderLock::acquire(folder.lock()),
                        Catch::StartsWith("another job is at work here: process " + std::to_string(::getpid())));
    REQUIRE_THROWS_AS(FolderLock::wait(folder.lock(), 0.3), Error);
  }
  CHECK(fs::is_empty(folder.path));
  FolderLock const again = FolderLock::acquire(folder.lock());
}

TEST_CASE("who watches a lock leaves it as it is") {
  Folder const folder;
  CHECK(watch_lock(folder.lock()).empty());
  CHECK(fs::is_empty(folder.path));
  {
    FolderLock const lock = FolderLock::acquire(folder.lock());
    CHECK_THAT(watch_lock(folder.lock()), Catch::StartsWith("process " + std::to_string(::getpid())));
    lock.require_held();
  }
  leave_dead_lock(folder.lock());
  auto const before = read_file(folder.lock());
  CHECK(watch_lock(folder.lock()).empty());
  CHECK(read_file(folder.lock()) == before);
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

namespace {

/// Processes that start together and each try once. Who gets the lock keeps it until all have tried.
int winners_of(Folder const& folder, int rivals) {
  fs::path const go = folder.path / "go", tried = folder.path / "tried";
  fs::create_directory(tried);
  auto const all_tried = [&] {
    return std::distance(fs::directory_iterator(tried), fs::directory_iterator()) == rivals;
  };
  std::vector<pid_t> pids;
  for (int i = 0; i < rivals; ++i)
    pids.push_back(child([&] {
      while (!fs::exists(go)) std::this_thread::sleep_for(1ms);
      auto const note = [&] { fs::create_directory(tried / std::to_string(::getpid())); };
      try {
        FolderLock const lock = FolderLock::acquire(folder.lock());
        note();
        while (!all_tried()) std::this_thread::sleep_for(1ms);
        lock.require_held();
        return 1;
      } catch (Error const&) {
        note();
        return 0;
      }
    }));
  write_file_atomically(go, "");
  int winners = 0;
  for (pid_t const pid : pids) winners += exit_of(pid);
  fs::remove(go);
  fs::remove_all(tried);
  CHECK(fs::is_empty(folder.path));
  return winners;
}

}  // namespace

TEST_CASE("the lock of a dead process is taken over at once, by exactly one of those who try together") {
  Folder const folder;
  for (int round = 0; round < 20; ++round) {
    leave_dead_lock(folder.lock());
    CHECK(winners_of(folder, 4) == 1);
  }
}

TEST_CASE("of those who start together on a free folder exactly one gets the lock") {
  Folder const folder;
  for (int round = 0; round < 20; ++round) CHECK(winners_of(folder, 2) == 1);
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
  REQUIRE_THROWS_WITH(FolderLock::acquire(folder.lock()),
                      Catch::Contains("process 1 on elsewhere, Slurm job 77, since 2026-01-31T12:00:00Z"));
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
    std::this_thread::sleep_for(2500ms);  // a heartbeat, which must leave it alone too
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

TEST_CASE("a lock can be looked at without being touched") {
  Folder const folder;
  CHECK_FALSE(look_at_lock(folder.lock()));
  {
    FolderLock const lock = FolderLock::acquire(folder.lock());
    auto const sight = look_at_lock(folder.lock());
    REQUIRE(sight);
    CHECK(sight->life == Life::alive);
    CHECK(sight->is_held());
    CHECK(sight->holder.find("process " + std::to_string(::getpid())) == 0);
    lock.require_held();
  }
  CHECK_FALSE(look_at_lock(folder.lock()));
  leave_dead_lock(folder.lock());
  CHECK(look_at_lock(folder.lock())->life == Life::dead);
  CHECK_FALSE(look_at_lock(folder.lock())->is_held());
  // Of another host the heartbeat tells.
  folder.write("lock", R"({"token": "ab", "process": {"host": "far", "machine": "m", "pid": 1, "start": 2},
                           "slurm_job": "77", "since": "2026-01-31T12:00:00Z"})");
  auto const far = look_at_lock(folder.lock());
  CHECK(far->holder == "process 1 on far, Slurm job 77, since 2026-01-31T12:00:00Z");
  CHECK(far->job == "77");
  CHECK(far->is_held());
  set_age(folder.lock(), 600);
  CHECK_FALSE(look_at_lock(folder.lock())->is_held());
}

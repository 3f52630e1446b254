#include <refrain/base/error.hpp>
#include <refrain/base/file.hpp>
#include <refrain/base/files.hpp>
#include <refrain/study/doctor_checks.hpp>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// What our files and locks need of a file system: base/files.cpp and base/lock_file.cpp do the same for real. flock is
// not among it.
namespace refrain::study {

namespace fs = std::filesystem;

namespace {

std::string const subject = "REFRAIN_RUNS";

/// A folder to try things in, removed at the end. @throws Error
class Trial {
public:
  explicit Trial(fs::path const& runs) {
    auto const parent = nearest_folder(runs);
    auto name = (parent / ".doctor-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw system_error("make a folder in " + parent.string());
    path_ = name;
  }
  ~Trial() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Trial(Trial const&) = delete;
  Trial& operator=(Trial const&) = delete;

  fs::path operator/(std::string const& name) const { return path_ / name; }
  fs::path const& path() const { return path_; }

private:
  fs::path path_;
};

void write_synced(fs::path const& path, std::string const& text) {
  File file(path, File::Mode::replace);
  if (!file.is_open() || !file.write_all(text)) throw system_error("write a file");
  if (!file.sync() || !file.close()) throw system_error("sync a file");
}

/// As outputs, checkpoints and `latest` come to their names.
void try_renames(Trial const& trial) {
  write_synced(trial / "old", std::string(1 << 20, 'o'));
  write_synced(trial / "new", std::string(1 << 20, 'n'));
  if (::rename((trial / "new").c_str(), (trial / "old").c_str()) != 0) throw system_error("rename a file over another");
  if (read_file(trial / "old").front() != 'n')
    throw Error("a file that was renamed over another is not there, but the old one");
  if (::mkdir((trial / "step.tmp").c_str(), 0700) != 0) throw system_error("make a folder");
  if (::rename((trial / "step.tmp").c_str(), (trial / "step").c_str()) != 0) throw system_error("rename a folder");
  if (::symlink("step", (trial / "latest.tmp").c_str()) != 0) throw system_error("make a symbolic link");
  if (::rename((trial / "latest.tmp").c_str(), (trial / "latest").c_str()) != 0)
    throw system_error("rename a symbolic link");
  File folder(trial.path(), File::Mode::read);
  if (!folder.is_open() || !folder.sync()) throw system_error("sync a folder");
}

/// Creates file after file exclusively. @returns for how many this process came first. @throws Error for what is no
/// matter of who comes first
int race(Trial const& trial, int files) {
  int won = 0;
  for (int i = 0; i < files; ++i)
    if (File(trial / ("lock-" + std::to_string(i)), File::Mode::create_new).is_open())
      ++won;
    else if (errno != EEXIST)
      throw system_error("create a file");
  return won;
}

/// Lets two processes compete for locks. @throws Error if any was given twice, or to nobody
int try_locks(Trial const& trial) {
  constexpr int files = 64, no_answer = 255;
  pid_t const rival = fork();
  if (rival < 0) throw system_error("start a second process");
  if (rival == 0) {
    try {
      _exit(race(trial, files));
    } catch (Error const&) {
      _exit(no_answer);
    }
  }
  std::optional<Error> failed;
  int mine = 0;
  try {
    mine = race(trial, files);
  } catch (Error const& error) {
    failed = error;
  }
  int status = 0;
  while (::waitpid(rival, &status, 0) < 0 && errno == EINTR) {}
  if (failed) throw *failed;
  int const theirs = WIFEXITED(status) ? WEXITSTATUS(status) : no_answer;
  if (theirs == no_answer) throw Error("a second process cannot create a file");
  if (mine + theirs != files)
    throw Error(std::to_string(files) + " files were created exclusively by two processes " +
                std::to_string(mine + theirs) + " times");
  return files;
}

bool has_hard_links(Trial const& trial) {
  write_synced(trial / "one", "x");
  struct stat info{};
  return ::link((trial / "one").c_str(), (trial / "two").c_str()) == 0 && ::stat((trial / "two").c_str(), &info) == 0 &&
         info.st_nlink == 2;
}

/// By how many seconds the file system's clock is ahead of this host's: heartbeats of locks are read by both.
double clock_ahead(Trial const& trial) {
  write_synced(trial / "beat", "x");
  if (::utimensat(AT_FDCWD, (trial / "beat").c_str(), nullptr, 0) != 0) throw system_error("renew the time of a file");
  struct stat info{};
  timespec now{};
  if (::stat((trial / "beat").c_str(), &info) != 0) throw system_error("ask for the time of a file");
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(info.st_mtim.tv_sec - now.tv_sec) +
         1e-9 * static_cast<double>(info.st_mtim.tv_nsec - now.tv_nsec);
}

}  // namespace

fs::path nearest_folder(fs::path folder) {
  std::error_code unseen;
  while (!fs::exists(folder, unseen) && folder.has_parent_path() && folder != folder.parent_path())
    folder = folder.parent_path();
  return folder;
}

Findings check_runs_folder(fs::path const& runs) try {
  std::error_code unseen;
  bool const there = fs::exists(runs, unseen);
  if (there && !fs::is_directory(runs))
    return {{Health::broken, subject, "names a file [" + runs.string() + "]", "set it to a folder"}};
  Trial const trial(runs);
  try_renames(trial);
  Findings findings{{Health::ok, subject,
                     (there ? "" : "is made when it is needed; in " + trial.path().parent_path().string() + " ") +
                         std::string("files are made, synced and renamed [") + runs.string() + "]"}};
  int const files = try_locks(trial);
  findings.push_back({Health::ok, "locks",
                      "of two processes one gets each of " + std::to_string(files) + "; " +
                          (has_hard_links(trial) ? "hard links work" : "no hard links, and none are needed")});
  constexpr double tolerated = 20;  // a heartbeat is old after 30 s
  if (double const ahead = clock_ahead(trial); std::abs(ahead) > tolerated)
    findings.push_back({Health::warning, "clock",
                        "the file system is " + std::to_string(std::lround(std::abs(ahead))) + " s " +
                            (ahead > 0 ? "ahead of" : "behind") + " this host",
                        "let its clock be set (NTP): a lock's age is read by both"});
  return findings;
} catch (Error const& error) {
  return {{Health::broken, subject, error.problem() + " [" + runs.string() + "]",
           error.remedy().empty() ? "set it to a folder on another file system" : error.remedy()}};
}

}  // namespace refrain::study

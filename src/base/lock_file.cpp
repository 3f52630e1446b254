#include "lock_file.hpp"

#include <refrain/base/error.hpp>
#include <refrain/base/file.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/provenance.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <random>

namespace refrain::lock_file {
namespace {

namespace fs = std::filesystem;

fs::path temporary_for(fs::path const& path, Holder const& me) { return path.string() + "." + me.token + ".tmp"; }

/// Writes a whole lock file that must not exist before. Returns 0 or the errno; nothing is left then.
int write_new(fs::path const& path, Holder const& me) {
  File file(path, File::Mode::create_new);
  if (!file.is_open()) return errno;
  int code = file.write_all(dump_text(me.json()) + "\n") ? 0 : errno;
  if (!file.close() && code == 0) code = errno;
  if (code != 0) ::unlink(path.c_str());
  return code;
}

[[noreturn]] void fail(int code, std::string const& doing, fs::path const& path) {
  errno = code;
  throw system_error(doing, {}, {.file = path});
}

}  // namespace

Holder Holder::myself() {
  static constexpr char digits[] = "0123456789abcdef";
  Holder me;
  std::random_device random;
  for (int i = 0; i < 24; ++i) me.token += digits[random() % 16];
  me.process = ProcessId::myself();
  if (char const* job = std::getenv("SLURM_JOB_ID")) me.job = job;
  me.since = utc_now();
  return me;
}

Json Holder::json() const {
  return {{"token", token}, {"process", process.json()}, {"slurm_job", job}, {"since", since}};
}

std::string Holder::description() const {
  if (process.host.empty()) return "a process that did not write its name";
  return "process " + std::to_string(process.pid) + " on " + process.host + (job.empty() ? "" : ", Slurm job " + job) +
         ", since " + since;
}

std::optional<Holder> read(fs::path const& path) {
  File file(path, File::Mode::read);  // open, not stat: NFS then asks the server
  if (!file.is_open()) {
    if (errno == ENOENT || errno == ESTALE) return std::nullopt;
    throw system_error("read the lock file", {}, {.file = path});
  }
  struct stat info{};
  char block[4096];
  bool const known = ::fstat(file.descriptor(), &info) == 0;
  int64_t const size = known ? file.read_some(std::as_writable_bytes(std::span(block))) : -1;
  if (size < 0) throw system_error("read the lock file", {}, {.file = path});

  Holder holder;
  Json const json = Json::parse(block, block + size, nullptr, false);
  if (json.is_object()) try {
      holder.token = json.at("token").get<std::string>();
      holder.process = ProcessId::from_json(json.at("process"));
      holder.job = json.at("slurm_job").get<std::string>();
      holder.since = json.at("since").get<std::string>();
    } catch (Json::exception const&) {
      holder = {};
    }
  holder.inode = static_cast<int64_t>(info.st_ino);
  holder.modified_ns = static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
  // Tokens become parts of file names, so only our own alphabet is taken.
  if (holder.token.empty() || holder.token.find_first_not_of("0123456789abcdef") != std::string::npos) {
    holder = {.inode = holder.inode, .modified_ns = holder.modified_ns};
    holder.token = std::to_string(holder.inode);
  }
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  holder.age = static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) -
               1e-9 * static_cast<double>(holder.modified_ns);
  return holder;
}

bool create(fs::path const& path, Holder const& me) {
  fs::path const temporary = temporary_for(path, me);
  if (int const code = write_new(temporary, me); code != 0) fail(code, "write the lock file", path);
  int code = ::link(temporary.c_str(), path.c_str()) == 0 ? 0 : errno;
  struct stat info{};
  // Over NFS the answer to a link that was made may be lost: two links are the proof.
  if (code != 0 && ::stat(temporary.c_str(), &info) == 0 && info.st_nlink == 2) code = 0;
  ::unlink(temporary.c_str());
  if (code == EPERM || code == EOPNOTSUPP || code == ENOSYS) code = write_new(path, me);  // no hard links here
  if (code != 0 && code != EEXIST) fail(code, "create the lock file", path);
  return code == 0;
}

void replace(fs::path const& path, Holder const& me) {
  fs::path const temporary = temporary_for(path, me);
  if (int const code = write_new(temporary, me); code != 0) fail(code, "write the lock file", path);
  if (::rename(temporary.c_str(), path.c_str()) == 0) return;
  int const code = errno;
  ::unlink(temporary.c_str());
  fail(code, "take over the lock file", path);
}

}  // namespace refrain::lock_file

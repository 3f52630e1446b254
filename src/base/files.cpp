#include <refrain/base/error.hpp>
#include <refrain/base/file.hpp>
#include <refrain/base/files.hpp>

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace refrain {
namespace {

namespace fs = std::filesystem;

fs::path parent_of(fs::path const& path) {
  fs::path const parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

}  // namespace

void set_private_umask() {
  char const* group_read = std::getenv("REFRAIN_GROUP_READ");
  ::umask(group_read && std::string_view(group_read) == "1" ? 0027 : 0077);
}

std::string read_file(fs::path const& path) {
  File file(path, File::Mode::read);
  struct stat info{};
  if (!file.is_open() || ::fstat(file.descriptor(), &info) != 0)
    throw system_error("read the file", {}, {.file = path});
  if (S_ISDIR(info.st_mode)) throw Error("this is a folder, not a file", "name a file in it", {.file = path});
  std::string text;
  text.reserve(static_cast<std::size_t>(info.st_size));
  char block[1 << 16];
  for (;;) {
    auto const n = file.read_some(std::as_writable_bytes(std::span(block)));
    if (n < 0) throw system_error("read the file", {}, {.file = path});
    if (n == 0) return text;
    text.append(block, static_cast<std::size_t>(n));
  }
}

void write_file_atomically(fs::path const& path, std::string_view text) {
  fs::path const temporary = path.string() + ".tmp";
  File file(temporary, File::Mode::replace);
  if (!file.is_open()) throw system_error("write the file", {}, {.file = path});
  bool const written =
      file.write_all(text) && file.sync() && file.close() && ::rename(temporary.c_str(), path.c_str()) == 0;
  if (!written) {
    int const code = errno;
    ::unlink(temporary.c_str());
    errno = code;
    throw system_error("write the file", {}, {.file = path});
  }
  sync_path(parent_of(path));
}

void sync_path(fs::path const& path) {
  File file(path, File::Mode::read);
  // Some file systems have no fsync for folders and say EINVAL; there is nothing better to do there.
  if (!file.is_open() || (!file.sync() && errno != EINVAL)) throw system_error("sync to disk", {}, {.file = path});
}

void rename_durably(fs::path const& from, fs::path const& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw system_error("rename to " + to.string(), {}, {.file = from});
  sync_path(parent_of(to));
}

void make_folders(fs::path const& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed)
    throw Error("cannot make the folder: " + failed.message(), "check the path and its permissions", {.file = path});
}

void replace_symlink(fs::path const& target, fs::path const& link) {
  fs::path const temporary = link.string() + ".tmp";
  ::unlink(temporary.c_str());
  if (::symlink(target.c_str(), temporary.c_str()) != 0) throw system_error("make the link", {}, {.file = link});
  rename_durably(temporary, link);
}

void require_readable_file(fs::path const& path, std::string const& option) {
  std::string const came_with = option + " names a file that ";
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR)
      throw UsageError(came_with + "does not exist", "check the path", {.file = path});
    throw system_error("read the file that " + option + " names", {}, {.file = path});
  }
  if (S_ISDIR(info.st_mode))
    throw UsageError(option + " names a folder, where a file is wanted", "name a file", {.file = path});
  if (!File(path, File::Mode::read).is_open())
    throw system_error("read the file that " + option + " names", {}, {.file = path});
}

void require_folder(fs::path const& path, std::string const& option) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR)
      throw UsageError(option + " names a folder that does not exist", "check the path", {.file = path});
    throw system_error("read the folder that " + option + " names", {}, {.file = path});
  }
  if (!S_ISDIR(info.st_mode))
    throw UsageError(option + " names a file, where a folder is wanted", "name a folder", {.file = path});
  if (::access(path.c_str(), R_OK | X_OK) != 0)
    throw system_error("read the folder that " + option + " names", {}, {.file = path});
}

void require_distinct_files(std::vector<std::pair<std::string, std::filesystem::path>> const& files) {
  std::map<std::filesystem::path, std::string> options;
  for (auto const& [option, file] : files)
    if (auto const [other, is_new] = options.try_emplace(std::filesystem::weakly_canonical(file), option); !is_new)
      throw UsageError(option == other->second ? option + " names a file twice"
                                               : option + " and " + other->second + " are one file",
                       option == other->second ? "name each file once" : "name another file", {.file = file});
}

int64_t free_bytes(fs::path const& path) {
  struct statvfs info{};
  fs::path where = fs::absolute(path);
  while (::statvfs(where.c_str(), &info) != 0) {
    if (errno != ENOENT || where == where.parent_path()) throw system_error("ask for free space", {}, {.file = path});
    where = where.parent_path();
  }
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

std::string format_bytes(double bytes) {
  char const* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 5) bytes /= 1024, ++unit;
  char text[64];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return text;
}

fs::path data_file(std::string const& relative) {
  std::vector<fs::path> homes;
  if (char const* home = std::getenv("REFRAIN_HOME"); home && *home) homes.emplace_back(home);
  std::error_code ignored;
  if (fs::path const binary = fs::read_symlink("/proc/self/exe", ignored); !binary.empty())
    homes.push_back(binary.parent_path().parent_path());
  homes.emplace_back(REFRAIN_SOURCE_DIR);
  // An installed tree keeps data under share/refrain; the source tree keeps it in the module that reads it.
  for (fs::path const& home : homes)
    for (char const* folder : {"share/refrain", "src", ""})
      if (fs::path const path = home / folder / relative; fs::is_regular_file(path, ignored)) return path;
  throw Error("the data file " + relative + " is not where the program looks for it",
              "set REFRAIN_HOME to the folder of the source or of the installation");
}

std::map<std::string, fs::path> data_files_beside(std::string const& relative) {
  std::map<std::string, fs::path> found;
  for (auto const& entry : fs::directory_iterator(data_file(relative).parent_path()))
    if (entry.path().extension() == ".json") found[entry.path().stem().string()] = entry.path();
  return found;
}

}  // namespace refrain

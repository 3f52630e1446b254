#include <refrain/checkpoint/small_files.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/file.hpp>
#include <refrain/base/files.hpp>

#include <fcntl.h>

#include <algorithm>
#include <array>

namespace refrain::checkpoint {

namespace {

constexpr int64_t most_bytes = int64_t{256} << 20;

bool is_weights(std::string const& name) {
  static constexpr std::array<char const*, 12> endings{".safetensors", ".h5",   ".bin",        ".pt",
                                                       ".pth",         ".gguf", ".msgpack",    ".onnx",
                                                       ".ckpt",        ".tmp",  ".index.json", ".lock"};
  return name == "manifest.json" ||
         std::any_of(endings.begin(), endings.end(), [&](char const* ending) { return name.ends_with(ending); });
}

}  // namespace

std::vector<std::string> small_file_names(std::filesystem::path const& folder) {
  std::vector<std::string> names;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    auto const name = entry->path().filename().string();
    if (name.front() == '.' || is_weights(name) || !entry->is_regular_file()) continue;
    if (static_cast<int64_t>(entry->file_size()) > most_bytes)
      throw Error("is larger than 256 MiB and not known as weights", "move it out of the model's folder",
                  {.file = entry->path()});
    names.push_back(name);
  }
  if (failed)
    throw Error("the folder cannot be read: " + failed.message(), "check the path and its permissions",
                {.file = folder});
  std::sort(names.begin(), names.end());
  return names;
}

std::filesystem::path without_trailing_slash(std::filesystem::path const& folder) {
  auto const normal = folder.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

void require_new_folder(std::filesystem::path const& folder) {
  std::error_code failed;
  if (!std::filesystem::exists(std::filesystem::symlink_status(folder, failed))) return;
  if (std::filesystem::is_directory(folder, failed) && std::filesystem::is_empty(folder, failed)) return;
  throw Error("exists already and is not an empty folder", "choose another name, or remove it first", {.file = folder});
}

void make_temporary_folder(std::filesystem::path const& folder, std::filesystem::path const& temporary,
                           std::string const& what, int64_t bytes) {
  require_new_folder(folder);
  std::filesystem::remove_all(temporary);
  if (auto const there = free_bytes(folder); bytes > there)
    throw Error(what + " needs " + format_bytes(static_cast<double>(bytes)) + ", the disk has " +
                    format_bytes(static_cast<double>(there)) + " free",
                "free space or choose another disk", {.file = folder});
  make_folders(temporary);
}

void write_synced(std::filesystem::path const& path, std::string const& text) {
  File file(path, File::Mode::replace);
  if (!file.is_open()) throw system_error("create the file", {}, {.file = path});
  if (!file.write_all(text) || !file.sync() || !file.close())
    throw system_error("write the file", "free space on the disk, then start again", {.file = path});
}

void drop_page_cache(std::filesystem::path const& path) {
  File const file(path, File::Mode::read);
  // Advice: where it is not taken, the read back still goes through every byte.
  if (file.is_open()) ::posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED);
}

}  // namespace refrain::checkpoint

#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace refrain {

/// Files are 0600 in folders 0700, unless REFRAIN_GROUP_READ=1 (then 0640 and 0750). Called once by every launcher.
void set_private_umask();

/// The whole file. @throws Error if it is missing, a folder, or unreadable
std::string read_file(std::filesystem::path const& path);

/// Writes through `path`.tmp, fsync and rename, so that `path` holds the old or the new text, never a part.
/// @throws Error on a full disk and the like; the temporary file is gone then
void write_file_atomically(std::filesystem::path const& path, std::string_view text);

/// fsync of a file or a folder. @throws Error
void sync_path(std::filesystem::path const& path);

/// Renames and fsyncs the parent folder. @throws Error
void rename_durably(std::filesystem::path const& from, std::filesystem::path const& to);

/// Makes a folder, and those above it that are missing. One that is there is left as it is. @throws Error
void make_folders(std::filesystem::path const& path);

/// Makes `link` point to `target` by a rename of a temporary link. @throws Error
void replace_symlink(std::filesystem::path const& target, std::filesystem::path const& link);

/// @throws UsageError if `path` is missing or a folder, Error if it cannot be read, naming the option that it came with
void require_readable_file(std::filesystem::path const& path, std::string const& option);
/// The same for a folder.
void require_folder(std::filesystem::path const& path, std::string const& option);

/// @throws UsageError if two of the files, each with the option that it came with, are one; they need not be there
void require_distinct_files(std::vector<std::pair<std::string, std::filesystem::path>> const& files);

/// Bytes that an unprivileged writer may still write on the file system of `path` (of its nearest parent that exists).
/// @throws Error if the system does not say
int64_t free_bytes(std::filesystem::path const& path);

/// "12.3 GiB"
std::string format_bytes(double bytes);

/// Folder of the project's data files: REFRAIN_HOME/share/refrain, ../share/refrain beside the binary, or the source
/// tree. `relative` is e.g. "shard/language_sets.json" or "h5schemas/pairs.v1.json". @throws Error if it is nowhere
std::filesystem::path data_file(std::string const& relative);

/// The data files NAME.json that stand beside a data file, itself among them, by NAME. @throws Error as `data_file`
std::map<std::string, std::filesystem::path> data_files_beside(std::string const& relative);

}  // namespace refrain

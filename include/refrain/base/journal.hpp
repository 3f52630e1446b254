#pragma once

#include <refrain/base/file.hpp>
#include <refrain/base/json_file.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <utility>

namespace refrain {

/// Records that a process has done, a JSON line each with its digest, in a file of its own in a folder that all of a
/// job's processes share. What is committed survives a crash; a line that a crash cut off does not count.
class JournalWriter {
public:
  /// A new file in `folder`, whose name begins with `name`. @throws Error
  JournalWriter(std::filesystem::path const& folder, std::string const& name);

  void add(Json const& record);
  /// Writes what was added and waits until it is on disk. @throws Error
  void commit();

private:
  explicit JournalWriter(std::pair<std::filesystem::path, File> made);

  std::filesystem::path path_;
  File file_;
  std::string pending_;
};

/// Hands every record of every file of the folder to `visit`, file by file in the order of their names.
/// @throws Error for a line in the middle of a file whose digest does not fit
void read_journal(std::filesystem::path const& folder, std::function<void(Json const&)> const& visit);

}  // namespace refrain

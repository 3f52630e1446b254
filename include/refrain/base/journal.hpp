#pragma once

#include <refrain/base/file.hpp>
#include <refrain/base/json_file.hpp>

#include <chrono>
#include <cstdint>
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
  /// Writes what was added and waits until it is on disk. @throws Error; the file then ends with what was committed
  /// before, and later commits do nothing: a line behind half a line would cost all that stands before it.
  void commit();

private:
  explicit JournalWriter(std::pair<std::filesystem::path, File> made);

  std::filesystem::path path_;
  File file_;
  int64_t committed_ = 0;  // bytes
  bool failed_ = false;
  std::string pending_;
};

/// A journal that is committed now and then: at most so many records, and what came within the last second, are lost in
/// a crash.
class BatchedJournal {
public:
  /// @param records that wait for a commit at most
  BatchedJournal(JournalWriter file, int64_t records) : file_(std::move(file)), records_(records) {}

  /// @throws Error if it is time for a commit, and that fails
  void add(Json const& record);
  /// Commits what waits longer than a second; to be called often. @throws Error
  void tick();
  void commit();  ///< @throws Error
  /// For catch clauses: what fails here is told to nobody, so that the first error is.
  void commit_after_failure() noexcept;

private:
  JournalWriter file_;
  int64_t records_;
  int64_t waiting_ = 0;
  std::chrono::steady_clock::time_point oldest_{};  // of those that wait
};

/// Hands every record of every file of the folder to `visit`, file by file in the order of their names.
/// @throws Error for a line in the middle of a file whose digest does not fit
void read_journal(std::filesystem::path const& folder, std::function<void(Json const&)> const& visit);

}  // namespace refrain

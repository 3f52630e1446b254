#pragma once

#include <refrain/base/folder_lock.hpp>
#include <refrain/base/journal.hpp>
#include <refrain/base/json_file.hpp>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace refrain {

/// What is finished of an output OUT that a job makes record by record: journals in the folder OUT.parts, until all is
/// there and OUT is written.
class Parts {
public:
  explicit Parts(std::filesystem::path const& out) : folder_(out.string() + ".parts") {}

  std::filesystem::path const& folder() const noexcept { return folder_; }
  /// Takes the folder, made if need be. `identity`: what its records depend on. @throws Error if somebody else has it,
  /// UsageError if it was begun with another identity; `what` it holds: "answers"
  void open(Json const& identity, std::string const& what);
  /// Every record that is there. @throws Error for one that is damaged
  void read(std::function<void(Json const&)> const& visit) const { read_journal(folder_, visit); }
  /// A journal of its own for one process. @throws Error
  JournalWriter writer(int rank) const { return {folder_, "rank-" + std::to_string(rank)}; }
  /// Removes the folder with all records, once OUT is written.
  void remove();

private:
  std::filesystem::path folder_;
  std::optional<FolderLock> lock_;
};

}  // namespace refrain

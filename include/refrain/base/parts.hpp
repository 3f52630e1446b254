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
/// there and OUT is written; and settings.json, what the records depend on.
class Parts {
public:
  explicit Parts(std::filesystem::path const& out) : folder_(out.string() + ".parts") {}

  std::filesystem::path const& folder() const noexcept { return folder_; }
  bool exists() const { return std::filesystem::exists(folder_); }
  /// Takes the folder for this process, made if need be. @throws Error if somebody else has it
  void take();
  /// @throws Error if somebody else took it in the meantime. @pre `take`
  void require_taken() const { lock_->require_held(); }

  /// Null where none were written. @throws Error
  Json settings() const;
  void write_settings(Json const& settings) const;  ///< @throws Error

  /// Every record that is there. @throws Error for one that is damaged
  void read(std::function<void(Json const&)> const& visit) const;
  /// A journal of its own for one rank. @throws Error
  JournalWriter writer(int rank) const { return {folder_, "rank-" + std::to_string(rank)}; }
  /// Removes the folder with all records, once OUT is written. @pre no other rank works in it any more
  void remove() const { std::filesystem::remove_all(folder_); }

private:
  std::filesystem::path folder_;
  std::optional<FolderLock> lock_;
};

}  // namespace refrain

#pragma once

#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::archive {

/// Size and digest of bytes.
struct Extent {
  int64_t bytes = 0;
  std::string sha256;

  bool operator==(Extent const&) const = default;
};

/// A file of an archive. Its bytes are the dataset /files/PATH.
struct StoredFile {
  std::string path;  ///< "dpo_8b_balanced/beta=0.1,lr=1e-6,seed=42/run.json"
  Extent stored;
  std::string without;  ///< what the original has and this has not, in words; empty: it is the original
  Extent original;      ///< what stood in the folder; that of `stored` if it is the original

  bool operator==(StoredFile const&) const = default;
};

/// What stood in the folder and is not in the archive.
struct LeftOut {
  std::string path, why;
};

/// A training run, or another model's answers and verdicts. Its files stand below NAME/.
struct StoredRun {
  std::string name;
  Json summary;  ///< as `summarise` makes it

  /// Whether the file is the run's: below its folder, or the record of its starts beside it.
  bool owns(std::string const& path) const;
};

/// What an archive says of itself: the dataset /manifest, as sealed JSON.
struct Manifest {
  bool anonymous = false;
  std::vector<StoredRun> runs;    ///< by name
  std::vector<StoredFile> files;  ///< by path
  std::vector<LeftOut> left_out;  ///< by path

  Json to_json() const;
  /// @param path the archive, for messages @throws Error for JSON that is none of ours, and for a path that would lead
  /// out of the folder where it is restored
  static Manifest from_json(Json const& json, std::filesystem::path const& path);
  /// Puts everything in the order of names.
  void sort();

  int64_t bytes() const;  ///< of all files
  /// Whether a file of it has this path, or stands below it.
  bool has(std::string const& path) const;
  StoredRun const* find_run(std::string const& name) const;
  /// What to do where `name` is no run's: "did you mean trial/a?", or "it has trial/a, trial/b".
  std::string runs_like(std::string const& name) const;
};

}  // namespace refrain::archive

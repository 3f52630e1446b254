#pragma once

#include <refrain/archive/manifest.hpp>
#include <refrain/archive/options.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace refrain::archive {

/// How a file is read.
enum class Kind {
  sealed,  ///< JSON that ends with its digest: run.json, status.json, eval.json, manifest.json
  json,    ///< records of refrain-study: pairs.json, study.json
  lines,   ///< JSON a line: metrics.jsonl, records of starts
  data,    ///< HDF5
  plain    ///< a report's or a checkpoint's, taken as it stands
};

/// A file that goes into the archive.
struct FoundFile {
  std::filesystem::path file;
  std::string path;  ///< in the archive
  Kind kind;
};

/// A run's folder, and its name in the archive: `STUDY/MEMBER` for what refrain-study made, else the folder's own,
/// behind those of the folders above it that were named.
struct FoundRun {
  std::filesystem::path folder;
  std::string name;
};

/// What stands below the folders that `create` was given.
struct Collection {
  std::vector<FoundRun> runs;
  std::vector<FoundFile> files;
  std::vector<LeftOut> left_out;
  std::vector<std::filesystem::path> locks;  ///< lock files of runs: held where a job is at work
};

/// Looks at every file below `options.paths`, in the order of names.
/// @throws Error for a folder without a run, and for two that would have one name
Collection collect(Options const& options);

}  // namespace refrain::archive

#pragma once

#include <refrain/base/folder_lock.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/line_log.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace refrain::train {

/// What a run's status.json says beside its state.
struct Progressed {
  int64_t step = 0, steps = 0;
  int64_t reference_batches = 0;  ///< of the reference pass, done by this start or found done
  double pairs_per_second = 0;
};

/// The files of a run folder that one process writes (rank 0 of a job): lock, run.json, status.json, metrics.jsonl,
/// metrics.h5, eval.json. The lock is held while this lives.
class RunFolder {
public:
  /// Makes the folder and locks it. @throws Error if another job works in it
  explicit RunFolder(std::filesystem::path path);

  std::filesystem::path const& path() const noexcept { return path_; }

  /// What the run was first started with ("identity" of run.json), or null for a new folder.
  Json identity() const;
  /// Writes run.json on the first start, and adds this start to its list on every later one, with the keys of `more`
  /// and, under "before", how far status.json says that the run had come. @throws Error
  void record_start(Json const& identity, Json const& options, Json const& provenance, int64_t first_step,
                    Json const& more);

  /// Opens metrics.jsonl and cuts it back to rows of at most `progress.step` steps; at step 0 nothing is kept.
  void open_metrics(Progressed const& progress);
  void append_metrics(Json const& row, Progressed const& progress);
  /// metrics.h5 from metrics.jsonl; before a checkpoint is written, so that both are never behind it.
  void write_metrics_columns(Json const& provenance);

  /// status.json: "running", "stopped", "finished" or "failed" with its error.
  void write_status(std::string const& state, Progressed const& progress, std::string const& error = {});
  /// The state of status.json, or "" where there is none or it is damaged.
  std::string state() const;
  int64_t step() const;  ///< 0 where it says none
  /// status.json: "failed", with the step that it names already. A finished run stays finished.
  void mark_failed(std::string const& error);

  /// Puts `value` under `key` ("before", "after") of eval.json.
  void write_evaluation(std::string const& key, Json const& value);

  /// @throws Error if somebody else took the lock meanwhile; asked before anything is committed
  void require_lock() const { lock_.require_held(); }

private:
  Json status() const;  ///< an empty object where there is none or it is damaged
  Json metrics_position() const;

  std::filesystem::path path_;
  FolderLock lock_;
  std::optional<LineLog> metrics_;
};

/// One clear line about options that differ between the run's first start and this one, or nothing.
std::string describe_difference(Json const& before, Json const& now);

}  // namespace refrain::train

#pragma once

#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace refrain::checkpoint {

/// A JSON file that carries the SHA-256 of its own bytes: its last key, `sha256`, is taken over all bytes before that
/// key. run.json, status.json, eval.json and manifest.json are such files.
///
/// Indented by 2, written atomically. @pre `value` is an object without a key `sha256`
void write_sealed_json(std::filesystem::path const& path, Json value);
/// The bytes that `write_sealed_json` writes.
std::string sealed_json(Json value);
/// Without the key `sha256`. @throws Error naming the file if the bytes do not match it
Json read_sealed_json(std::filesystem::path const& path);

/// metrics.jsonl: lines of JSON, appended. It carries no digest itself; the length and the XXH3-128 of its bytes so far
/// stand in status.json under `metrics`, so that a flip or a cut is found there:
///
///     auto lines = LineLog(run_dir / "metrics.jsonl", keep);   // reads; changes nothing
///     status["metrics"] = lines.position();                    // first: what stays
///     write_sealed_json(run_dir / "status.json", status);
///     lines.cut();                                             // then the file is cut back to it
///     lines.append(row);  status["metrics"] = lines.position();  write_sealed_json(...);   // after each step
class LineLog {
public:
  /// Keeps the leading lines for which `keep` is true; a torn last line is not kept. A missing file is an empty one.
  /// @throws Error naming file and line for a line before the last that is no JSON object
  LineLog(std::filesystem::path path, std::function<bool(Json const&)> const& keep);

  /// Cuts the file to the kept lines and syncs it. @throws Error
  void cut();
  /// Appends `row` and a newline. @pre `cut` was called. @throws Error, also for a full disk; the line is then gone
  /// again
  void append(Json const& row);
  /// fsync; before a checkpoint.
  void sync() const;

  /// {"bytes": length, "xxh3": digest} of what stands in the file.
  Json position() const;
  /// The rows kept by the constructor and those appended since.
  int64_t rows() const noexcept { return rows_; }

  /// @returns the bytes behind `position` (a run that was killed may have appended a line and not said so).
  /// @throws Error if the file is shorter than `position` says or its first bytes have another digest
  static int64_t check(std::filesystem::path const& path, Json const& position);

private:
  std::filesystem::path path_;
  std::string text_;  ///< what stands in the file: small beside anything else of a run
  int64_t rows_ = 0;
};

}  // namespace refrain::checkpoint

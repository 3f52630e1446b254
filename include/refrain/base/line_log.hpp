#pragma once

#include <refrain/base/digest.hpp>
#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace refrain {

/// metrics.jsonl: lines of JSON, appended. It carries no digest itself; the length and the XXH3-128 of its bytes stand
/// in status.json under `metrics`. status.json is written before each change of the file, and says both what stands in
/// it and what will, so that a run may be killed at any moment and every flip or cut is found all the same:
///
///     auto lines = LineLog(run_dir / "metrics.jsonl", keep);  // reads; changes nothing
///     status["metrics"] = lines.position();  write_sealed_json(run_dir / "status.json", status);
///     lines.commit();                                         // the file is cut back to what is kept
///     lines.announce(row);                                    // for each line: changes nothing
///     status["metrics"] = lines.position();  write_sealed_json(run_dir / "status.json", status);
///     lines.commit();                                         // writes the line
///
/// A step takes as long as its line, however long the file is.
class LineLog {
public:
  /// Keeps the leading lines for which `keep` is true. A missing file is an empty one.
  /// @throws Error naming file and line for a line that is no JSON object
  LineLog(std::filesystem::path path, std::function<bool(Json const&)> const& keep);

  /// The next `commit` appends `row` and a newline. @pre what was announced before is committed
  void announce(Json const& row);
  /// Makes the file what was announced. @throws Error, also for a full disk; the file is then as before
  void commit();
  /// fsync; before a checkpoint.
  void sync() const;

  /// {"bytes": length, "xxh3": digest} of the file once it is committed, and under "before" of the file as it is.
  Json position() const;

  /// @throws Error unless the file is one of the two that `position` describes; a missing one is an empty one
  static void check(std::filesystem::path const& path, Json const& position);

private:
  /// What is remembered of a text that stands in the file, or will.
  struct Extent {
    int64_t bytes = 0;
    Xxh3 digest;

    void add(std::string_view text);
    Json json() const;
  };

  std::filesystem::path path_;
  Extent standing_;   ///< what stands in the file
  Extent wanted_;     ///< what will stand in it: less of it, or one line more
  std::string line_;  ///< that line
};

}  // namespace refrain

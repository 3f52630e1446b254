#pragma once

#include <refrain/base/error.hpp>
#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>

namespace refrain::shard {

/// The rows of one input file, one after the other. Moving on is cheap; a row is taken apart only where it is asked
/// for, so that each rank may run through the whole file and do the work of its own rows.
class RowReader {
public:
  virtual ~RowReader() = default;
  /// Moves to the next row. @returns false at the end. @throws Error if the file cannot be read
  virtual bool next() = 0;
  /// The current row as an object of columns. @throws Error with the row's place
  virtual Json row() const = 0;
  /// File and line (or row) of the current row.
  virtual Place place() const = 0;
  /// How much of the file (as it lies on disk) has been read, for the progress bar.
  virtual int64_t bytes_read() const = 0;
};

/// JSON lines, compressed by gzip or not, or Parquet: told apart by their first bytes.
/// @param option the option that named the file. @throws Error if it is missing, a folder, empty or of no such kind
std::unique_ptr<RowReader> open_rows(std::filesystem::path const& path, char const* option);

/// The two kinds. @throws Error; `open_parquet` always where the program was built without Arrow
std::unique_ptr<RowReader> open_json_lines(std::filesystem::path const& path);
std::unique_ptr<RowReader> open_parquet(std::filesystem::path const& path);

}  // namespace refrain::shard

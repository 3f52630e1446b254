#pragma once

#include <refrain/h5/reader.hpp>
#include <refrain/h5/row_writer.hpp>

#include <filesystem>
#include <string>
#include <type_traits>
#include <vector>

/// Tables whose columns are datasets: `columns(table, each)` calls `each(name, column)` for all of them, in the order
/// of the file, so that a table is read and written by one list.
namespace refrain::h5 {

/// @throws Error
template <class Table, class Columns>
Table read_columns(Reader const& file, Columns const& columns) {
  Table table;
  columns(table, [&]<class T>(char const* name, std::vector<T>& column) {
    if constexpr (std::is_same_v<T, std::string>)
      column = file.read_text(name);
    else
      column = file.read<T>(name);
  });
  return table;
}

/// @throws Error if the file is not of this schema
template <class Table, class Columns>
Table read_table(std::filesystem::path const& path, std::string const& schema, Columns const& columns) {
  return read_columns<Table>(Reader(path, schema), columns);
}

/// Adds the rows of `table` to the ends of a file's columns. @throws Error
template <class Table, class Columns>
void append_columns(RowWriter& file, Table const& table, Columns const& columns) {
  columns(table, [&]<class T>(char const* name, std::vector<T> const& column) {
    if constexpr (std::is_same_v<T, std::string>)
      file.append_text(name, column);
    else
      file.append(name, column);
  });
}

/// Atomically (temporary name, sync, rename). @throws Error
template <class Table, class Columns>
void write_table(std::filesystem::path const& path, std::string const& schema, Table const& table,
                 Json const& provenance, Columns const& columns) {
  Writer file(path, schema, provenance);
  columns(table, [&]<class T>(char const* name, std::vector<T> const& column) {
    if constexpr (std::is_same_v<T, std::string>)
      file.write_text(name, column);
    else
      file.write(name, column);
  });
  file.finish();
}

}  // namespace refrain::h5

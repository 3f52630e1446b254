#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace refrain::report {

/// A value of a table: nothing (not measured, or not defined), a count, a number, a word.
class Cell {
public:
  Cell() = default;  ///< nothing
  Cell(int64_t count) : kind_(Kind::count), count_(count) {}
  Cell(double value) : kind_(Kind::number), value_(value) {}
  Cell(std::string word) : kind_(Kind::word), word_(std::move(word)) {}
  Cell(char const* word) : kind_(Kind::word), word_(word) {}

  bool is_nothing() const noexcept { return kind_ == Kind::nothing; }
  /// Each is null for a cell of another kind.
  int64_t const* count() const noexcept { return kind_ == Kind::count ? &count_ : nullptr; }
  double const* number() const noexcept { return kind_ == Kind::number ? &value_ : nullptr; }
  std::string const* word() const noexcept { return kind_ == Kind::word ? &word_ : nullptr; }
  bool is_word(std::string const& word) const noexcept { return kind_ == Kind::word && word_ == word; }

private:
  enum class Kind { nothing, count, number, word } kind_ = Kind::nothing;
  int64_t count_ = 0;
  double value_ = 0;
  std::string word_;
};

/// NaN becomes nothing.
Cell number(double value);

/// How people read a column's values.
enum class Format {
  text,
  count,    ///< 12,345
  percent,  ///< a share of 0.0352 as 3.52
  points,   ///< a difference of shares, with its sign: -3.52
  decimal,  ///< three decimals
  p_value   ///< 0.0123, or < 0.0001
};

struct Column {
  std::string key;    ///< in CSV
  std::string title;  ///< for people
  Format format = Format::text;
};

/// One table of the report, in long form: what CSV holds whole, and people see a view of.
struct Table {
  std::string id;     ///< also the name of its files
  std::string title;  ///< a caption
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;

  /// Place of a column. @throws Error if there is none
  std::size_t column(std::string const& key) const;
  Cell const& cell(std::size_t row, std::string const& key) const { return rows[row][column(key)]; }
  /// A word of a row, or its formatted value.
  std::string text(std::size_t row, std::string const& key) const;
};

/// A value as people read it; nothing is an en dash.
std::string formatted(Cell const& cell, Format format);

/// RFC 4180 with line feeds: a heading of keys, numbers in the shortest form that gives them back, nothing as an empty
/// field.
std::string to_csv(Table const& table);

/// The rows whose column `key` is `value`, without that column.
Table where(Table const& table, std::string const& key, std::string const& value);
/// The same rows with these columns, in this order.
Table select(Table const& table, std::vector<std::string> const& keys);

/// What a pivot's cells show: a value, and the interval that follows it in brackets if there are keys of one.
struct PivotValue {
  std::string key;
  std::string low_key = {}, high_key = {};
};

/// From long to wide: a row for every combination of `row_keys`, a column for every value of `column_key`, in order of
/// appearance.
Table pivot(Table const& table, std::vector<std::string> const& row_keys, std::string const& column_key,
            PivotValue const& value);

}  // namespace refrain::report

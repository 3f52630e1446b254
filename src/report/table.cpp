#include <refrain/report/table.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/table.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>

namespace refrain::report {
namespace {

std::string printed(char const* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string shortest(double value) {
  std::array<char, 64> text{};
  auto const end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

std::string csv_field(Cell const& cell) {
  if (auto const* count = cell.count()) return std::to_string(*count);
  if (auto const* value = cell.number()) return shortest(*value);
  auto const* word = cell.word();
  if (word == nullptr) return {};
  if (word->find_first_of(",\"\r\n") == std::string::npos) return *word;
  std::string quoted = "\"";
  for (char const c : *word) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

std::string formatted_number(double value, Format format) {
  switch (format) {
    case Format::percent: return printed("%.2f", 100 * value);
    case Format::points: return printed("%+.2f", 100 * value);
    case Format::p_value: return value < 1e-4 ? "< 0.0001" : printed("%.4f", value);
    case Format::text:
    case Format::count:
    case Format::decimal: return printed("%.3f", value);
  }
  return {};
}

}  // namespace

Cell number(double value) { return std::isnan(value) ? Cell{} : Cell{value}; }

std::size_t Table::column(std::string const& key) const {
  auto const found = std::find_if(columns.begin(), columns.end(), [&](Column const& c) { return c.key == key; });
  if (found == columns.end()) throw Error("the table " + id + " has no column " + key);
  return static_cast<std::size_t>(found - columns.begin());
}

std::string Table::text(std::size_t row, std::string const& key) const {
  auto const place = column(key);
  return formatted(rows[row][place], columns[place].format);
}

std::string formatted(Cell const& cell, Format format) {
  if (auto const* word = cell.word()) return *word;
  if (auto const* count = cell.count()) return format_count(*count);
  if (auto const* value = cell.number()) return formatted_number(*value, format);
  return "\u2013";
}

std::string to_csv(Table const& table) {
  std::string text;
  for (std::size_t c = 0; c < table.columns.size(); ++c) text += (c > 0 ? "," : "") + table.columns[c].key;
  text += '\n';
  for (auto const& row : table.rows) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (c > 0) text += ',';
      text += csv_field(row[c]);
    }
    text += '\n';
  }
  return text;
}

Table where(Table const& table, std::string const& key, std::string const& value) {
  Table result{.id = table.id, .title = table.title, .columns = table.columns, .rows = {}};
  auto const place = static_cast<std::ptrdiff_t>(table.column(key));
  result.columns.erase(result.columns.begin() + place);
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    if (!table.rows[row][static_cast<std::size_t>(place)].is_word(value)) continue;
    result.rows.push_back(table.rows[row]);
    result.rows.back().erase(result.rows.back().begin() + place);
  }
  return result;
}

Table select(Table const& table, std::vector<std::string> const& keys) {
  Table result{.id = table.id, .title = table.title, .columns = {}, .rows = {}};
  result.rows.resize(table.rows.size());
  for (auto const& key : keys) {
    auto const place = table.column(key);
    result.columns.push_back(table.columns[place]);
    for (std::size_t row = 0; row < table.rows.size(); ++row) result.rows[row].push_back(table.rows[row][place]);
  }
  return result;
}

Table pivot(Table const& table, std::vector<std::string> const& row_keys, std::string const& column_key,
            PivotValue const& value) {
  Table result{.id = table.id, .title = table.title, .columns = {}, .rows = {}};
  for (auto const& key : row_keys) result.columns.push_back(table.columns[table.column(key)]);
  std::map<std::string, std::size_t> columns;
  std::map<std::vector<std::string>, std::size_t> rows;
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    auto const heading = table.text(row, column_key);
    if (columns.try_emplace(heading, result.columns.size()).second)
      result.columns.push_back({heading, heading, Format::count});
  }
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    std::vector<std::string> key;
    for (auto const& name : row_keys) key.push_back(table.text(row, name));
    auto const [place, added] = rows.try_emplace(key, result.rows.size());
    if (added) {
      result.rows.emplace_back(result.columns.size());
      for (std::size_t c = 0; c < row_keys.size(); ++c) result.rows.back()[c] = table.cell(row, row_keys[c]);
    }
    std::string text = table.text(row, value.key);
    if (!value.low_key.empty() && !table.cell(row, value.low_key).is_nothing())
      text += " [" + table.text(row, value.low_key) + ", " + table.text(row, value.high_key) + "]";
    result.rows[place->second][columns.at(table.text(row, column_key))] = text;
  }
  return result;
}

}  // namespace refrain::report

#include <refrain/base/counted.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/table.hpp>
#include <refrain/study/status.hpp>

#include <algorithm>
#include <cstdio>
#include <map>

namespace refrain::study {

namespace {

using Row = std::vector<std::string>;
using Rows = std::vector<Row>;

std::string fixed(std::optional<double> const& value, int digits) {
  if (!value) return "-";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, *value);
  return text;
}

std::string answers_text(Outputs const& outputs) {
  if (outputs.answers_done) return "done";
  return outputs.answers.value_or(0) > 0 ? format_count(*outputs.answers) : "-";
}

std::string verdicts_text(Outputs const& outputs) {
  if (outputs.verdicts_done) return "done";
  return outputs.judges.value_or(0) > 0 ? counted(*outputs.judges, "judge") : "-";
}

std::string step_text(RunSummary const& run) {
  if (run.steps == 0 && run.step == 0) return "-";
  return std::to_string(run.step) + (run.steps > 0 ? "/" + std::to_string(run.steps) : std::string{});
}

Row row_of(RunSummary const& run) {
  return {run.name,
          to_string(run.state),
          step_text(run),
          fixed(run.loss, 4),
          fixed(run.accuracy, 3),
          fixed(run.pairs_per_second, 2),
          run.seconds_left ? format_duration(*run.seconds_left) : "-",
          std::to_string(run.restarts),
          std::to_string(run.steps_again),
          fixed(run.node_hours, 2),
          answers_text(run.outputs),
          verdicts_text(run.outputs),
          run.error};
}

/// In code points; cuts of UTF-8 fall between letters.
std::size_t length_of(std::string const& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

/// At most `length` letters, the last of them a sign that more follows.
std::string cut(std::string const& text, std::size_t length) {
  if (length_of(text) <= length) return text;
  std::size_t end = 0;
  for (std::size_t letters = 0; end < text.size(); ++end)
    if ((text[end] & 0xc0) != 0x80 && ++letters > std::max<std::size_t>(length, 1) - 1) break;
  return text.substr(0, end) + "…";
}

std::size_t column_width(Rows const& rows, std::size_t column) {
  std::size_t width = 0;
  for (auto const& row : rows) width = std::max(width, length_of(row[column]));
  return width;
}

std::size_t table_width(Rows const& rows) {
  std::size_t width = 0;
  for (std::size_t column = 0; column < rows.front().size(); ++column) width += column_width(rows, column) + 2;
  return width - 2;
}

void cut_column(Rows& rows, std::size_t column, std::size_t length) {
  for (auto& row : rows) row[column] = cut(row[column], length);
}

void drop_column(Rows& rows, std::string const& title) {
  auto const& heading = rows.front();
  auto const at = std::find(heading.begin(), heading.end(), title) - heading.begin();
  for (auto& row : rows) row.erase(row.begin() + at);
}

/// How much narrower a column has to be for the table to fit.
std::size_t narrowed(Rows const& rows, std::size_t column, std::size_t width, std::size_t least) {
  auto const excess = table_width(rows) - width, now = column_width(rows, column);
  return now > excess + least ? now - excess : least;
}

/// Makes the table as narrow as the terminal, as far as that goes.
void fit(Rows& rows, std::size_t width) {
  constexpr std::size_t least_error = 24, least_name = 8;
  if (width == 0 || table_width(rows) <= width) return;
  cut_column(rows, rows.front().size() - 1, narrowed(rows, rows.front().size() - 1, width, least_error));
  for (auto const* title : {"verdicts", "answers", "again", "restarts", "pairs/s", "accuracy", "node h"}) {
    if (table_width(rows) <= width) return;
    drop_column(rows, title);
  }
  if (table_width(rows) > width) cut_column(rows, 0, narrowed(rows, 0, width, least_name));
  if (table_width(rows) > width) drop_column(rows, "last error");
}

}  // namespace

std::string status_sums(std::vector<RunSummary> const& runs) {
  std::map<RunState, int> counts;
  double hours = 0;
  for (auto const& run : runs) {
    ++counts[run.state];
    hours += run.node_hours;
  }
  std::string text = std::to_string(runs.size()) + (runs.size() == 1 ? " run: " : " runs: ");
  bool first = true;
  for (auto const& [state, count] : counts) {
    text += (first ? "" : ", ") + std::to_string(count) + " " + to_string(state);
    first = false;
  }
  return text + "; " + fixed(hours, 2) + " node hours";
}

Rows status_rows(std::vector<RunSummary> const& runs) {
  Rows rows{{"run", "state", "step", "loss", "accuracy", "pairs/s", "ETA", "restarts", "again", "node h", "answers",
             "verdicts", "last error"}};
  for (auto const& run : runs) rows.push_back(row_of(run));
  return rows;
}

std::string status_table(std::vector<RunSummary> const& runs, std::size_t width) {
  if (runs.empty()) return "no runs yet\n";
  auto rows = status_rows(runs);
  fit(rows, width);
  return format_table(rows) + status_sums(runs) + "\n";
}

}  // namespace refrain::study

#include <refrain/base/log.hpp>
#include <refrain/page/html.hpp>
#include <refrain/study/run_metrics.hpp>
#include <refrain/study/status.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace refrain::study {

namespace {

/// Points of a curve: step and value.
using Curve = std::vector<page::Point>;

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

/// One key of the rows over their steps; at most about `most` points, the last among them: a page of a thousand runs
/// must still open.
Curve curve_of(std::vector<Json> const& rows, char const* key, std::size_t most) {
  Curve curve;
  std::size_t const every = rows.size() / most + 1;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i % every != 0 && i + 1 != rows.size()) continue;
    auto const step = rows[i].find("step"), value = rows[i].find(key);
    if (step == rows[i].end() || value == rows[i].end() || !step->is_number() || !value->is_number()) continue;
    if (double const y = value->get<double>(); std::isfinite(y)) curve.push_back({step->get<double>(), y});
  }
  return curve;
}

/// A small picture of a curve with its least and greatest value beside it; empty without points.
std::string picture(Curve const& curve, std::string const& id, std::string const& what) {
  if (curve.empty()) return {};
  constexpr double width = 190, height = 44, left = 42, margin = 5, letters = 9;
  double least = std::numeric_limits<double>::infinity(), most = -least;
  for (auto const& point : curve) {
    least = std::min(least, point.y);
    most = std::max(most, point.y);
  }
  page::Drawing drawing(width, height);
  double const bottom = height - margin, range = most > least ? most - least : 1;
  double const first = curve.front().x, steps = std::max(curve.back().x - first, 1.0);
  std::vector<page::Point> line;
  for (auto const& point : curve)
    line.push_back({left + (point.x - first) / steps * (width - left - margin),
                    bottom - (point.y - least) / range * (bottom - margin)});
  if (line.size() == 1) line.push_back({line.front().x + 2, line.front().y});
  drawing.line({{left, margin}, {left, bottom}, {width - margin, bottom}}, "#b0b0b0", 0.8);
  drawing.text({left - 4, margin + letters - 2}, short_number(most), letters, page::Anchor::end);
  if (most > least) drawing.text({left - 4, bottom}, short_number(least), letters, page::Anchor::end);
  drawing.line(std::move(line), "#0072b2", 1.4);
  return page::to_svg(drawing,
                      {id, what,
                       what + " from " + short_number(curve.front().y) + " at step " + short_number(curve.front().x) +
                           " to " + short_number(curve.back().y) + " at step " + short_number(curve.back().x)});
}

std::string cell(std::string const& text, bool number) {
  return std::string("<td") + (number ? " class=\"number\"" : "") + ">" + page::escape_html(text) + "</td>";
}

/// The curves of a run as two cells.
std::string curves(RunSummary const& run, std::size_t number) {
  constexpr std::size_t points = 120;
  auto const rows = last_metrics(run.folder / "metrics.jsonl", std::numeric_limits<int64_t>::max());
  auto const id = std::to_string(number);
  return "<td>" + picture(curve_of(rows, "loss", points), "loss-" + id, "Loss of " + run.name) + "</td><td>" +
         picture(curve_of(rows, "rewards/accuracies", points), "accuracy-" + id, "Reward accuracy of " + run.name) +
         "</td>";
}

}  // namespace

std::string status_page(std::vector<RunSummary> const& runs, std::string const& time) {
  auto const rows = status_rows(runs);
  // The error is text, and so are name and state; curves stand between them and the numbers.
  constexpr std::size_t texts = 2;
  auto const is_number = [&](std::size_t column) { return column >= texts && column + 1 < rows.front().size(); };
  std::string html = page::html_begin("Training runs") + "<main id=\"content\">\n<p>" +
                     page::escape_html(status_sums(runs)) + "; read at " + time +
                     ".</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"runs\">\n<table>\n"
                     "<caption id=\"runs\">Runs</caption>\n<thead><tr>";
  auto const heading = [&](std::string const& title, bool number) {
    html += std::string("<th scope=\"col\"") + (number ? " class=\"number\"" : "") + ">" + page::escape_html(title) +
            "</th>";
  };
  for (std::size_t column = 0; column < rows.front().size(); ++column) {
    if (column == texts) heading("loss by step", false), heading("accuracy by step", false);
    heading(rows.front()[column], is_number(column));
  }
  html += "</tr></thead>\n<tbody>\n";
  for (std::size_t run = 0; run < runs.size(); ++run) {
    auto const& row = rows[run + 1];
    html +=
        "<tr><th scope=\"row\">" + page::escape_html(row[0]) + "</th>" + cell(row[1], false) + curves(runs[run], run);
    for (std::size_t column = texts; column < row.size(); ++column) html += cell(row[column], is_number(column));
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n</div>\n</main>\n" + page::html_end();
}

}  // namespace refrain::study

#include <refrain/report/figures.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

namespace refrain::report {
namespace {

using page::Anchor;
using page::text_width;

/// Okabe and Ito's colors, which the color-blind tell apart, dark enough for thin lines on white.
constexpr std::array<char const*, 8> colors{"#0072b2", "#d55e00", "#007a5a", "#b0508a",
                                            "#8a6d00", "#5b3a9e", "#000000", "#6b6b6b"};
constexpr char grid_color[] = "#d5d5d5";
constexpr double font = 11;

std::string color_of(std::size_t series) { return colors[series % colors.size()]; }

/// Dot `series` at a place: forms change as colors do, and go on when colors begin again.
void dot(Drawing& drawing, Point at, std::size_t series, double radius = 3.5) {
  std::size_t const form = (series + series / colors.size()) % 4;
  std::size_t const corners = form == 0 ? 16 : form == 1 ? 4 : form == 2 ? 3 : 5;
  double const turn = form == 1 ? M_PI / 4 : -M_PI / 2;
  std::vector<Point> points;
  for (std::size_t i = 0; i < corners; ++i) {
    double const angle = turn + 2 * M_PI * static_cast<double>(i) / static_cast<double>(corners);
    points.push_back({at.x + radius * std::cos(angle), at.y + radius * std::sin(angle)});
  }
  drawing.fill(std::move(points), color_of(series));
}

template <class Names>
double widest(Names const& names, double size = font) {
  double width = 0;
  for (auto const& name : names) width = std::max(width, text_width(name, size));
  return width;
}

std::vector<std::string> values_of(Table const& table, std::string const& key) {
  std::vector<std::string> values;
  for (std::size_t row = 0; row < table.rows.size(); ++row)
    if (auto const text = table.text(row, key); std::find(values.begin(), values.end(), text) == values.end())
      values.push_back(text);
  return values;
}

std::size_t place_of(std::vector<std::string> const& values, std::string const& value) {
  return static_cast<std::size_t>(std::find(values.begin(), values.end(), value) - values.begin());
}

/// Names of series with their dots or lines, in lines of at most `width`. @returns the height taken
double legend(Drawing& drawing, std::vector<std::string> const& names, double left, double top, double width) {
  double x = left, y = top + font;
  for (std::size_t i = 0; i < names.size(); ++i) {
    double const needed = 12 + text_width(names[i], font) + 14;
    if (x > left && x + needed > left + width) x = left, y += font + 6;
    dot(drawing, {x + 4, y - 4}, i);
    drawing.text({x + 12, y}, names[i], font);
    x += needed;
  }
  return y - top + 8;
}

/// The legend's height, before there is a drawing.
double legend_height(std::vector<std::string> const& names, double width) {
  Drawing trial(width, 0);
  return legend(trial, names, 0, 0, width);
}

std::string percent_text(double share) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", 100 * share);
  return text.data();
}

std::string tick_text(double value, int digits = 6) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.*g", digits, value);
  return text.data();
}

/// A round step of about a fifth of the range.
double round_step(double range) {
  double const power = std::pow(10, std::floor(std::log10(range / 5)));
  double const parts = range / 5 / power;
  return power * (parts > 5 ? 10 : parts > 2 ? 5 : parts > 1 ? 2 : 1);
}

struct Range {
  double least = std::numeric_limits<double>::infinity(), most = -std::numeric_limits<double>::infinity();

  void add(double value) {
    if (!std::isfinite(value)) return;
    least = std::min(least, value);
    most = std::max(most, value);
  }
  /// Wide enough to be divided by.
  Range widened() const {
    if (!(least <= most)) return {0, 1};
    double const room = most > least ? (most - least) * 0.04 : std::max(std::abs(most) * 0.1, 0.5);
    return {least - room, most + room};
  }
};

/// Places values in a frame, and draws its grid and axes.
class Axes {
public:
  Axes(Drawing& drawing, Range x, Range y, double left, double top, double width, double height)
      : drawing_(drawing), x_(x), y_(y), left_(left), top_(top), width_(width), height_(height) {}

  Point at(double x, double y) const {
    return {left_ + (x - x_.least) / (x_.most - x_.least) * width_,
            top_ + height_ - (y - y_.least) / (y_.most - y_.least) * height_};
  }
  void draw(std::string const& x_axis) {
    for (bool const horizontal : {true, false}) {
      auto const& range = horizontal ? y_ : x_;
      double const step = round_step(range.most - range.least);
      for (double tick = std::ceil(range.least / step) * step; tick <= range.most + step / 1e6; tick += step) {
        double const value = std::abs(tick) < step / 1e6 ? 0 : tick;
        auto const p = horizontal ? at(x_.least, value) : at(value, y_.least);
        drawing_.line(horizontal ? std::vector<Point>{p, {left_ + width_, p.y}} : std::vector<Point>{p, {p.x, top_}},
                      grid_color, 0.7);
        if (horizontal)
          drawing_.text({p.x - 5, p.y + 4}, tick_text(value), font - 1, Anchor::end);
        else
          drawing_.text({p.x, p.y + 14}, tick_text(value), font - 1, Anchor::middle);
      }
    }
    drawing_.text({left_ + width_ / 2, top_ + height_ + 29}, x_axis, font, Anchor::middle);
  }

private:
  Drawing& drawing_;
  Range x_, y_;
  double left_, top_, width_, height_;
};

}  // namespace

Figure dot_figure(Table const& table, DotSpec const& spec) {
  auto const groups = values_of(table, spec.group), series = values_of(table, spec.series);
  double const width = 720, left = widest(groups) + 20, plot = width - left - 20;
  double const band = std::max(20.0, 7.0 * static_cast<double>(series.size()) + 8);
  double const top = legend_height(series, width - 20) + 6, bottom = top + band * static_cast<double>(groups.size());
  Figure figure{table.id, table.title, {}, Drawing(width, bottom + 42)};
  auto& drawing = figure.drawing;
  legend(drawing, series, 10, 0, width - 20);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    double const y = top + band * static_cast<double>(g);
    if (g % 2 == 0) drawing.rectangle(left, y, plot, band, "#f4f4f4");
    drawing.text({left - 8, y + band / 2 + 4}, groups[g], font, Anchor::end);
  }
  for (int tick = 0; tick <= 100; tick += 20) {
    double const x = left + plot * tick / 100;
    drawing.line({{x, top}, {x, bottom}}, grid_color, 0.7);
    drawing.text({x, bottom + 14}, std::to_string(tick), font - 1, Anchor::middle);
  }
  drawing.text({left + plot / 2, bottom + 32}, spec.axis, font, Anchor::middle);
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    auto const* const value = table.cell(row, spec.value.key).number();
    if (value == nullptr) continue;
    std::size_t const s = place_of(series, table.text(row, spec.series));
    double const y = top + band * static_cast<double>(place_of(groups, table.text(row, spec.group))) +
                     band * (static_cast<double>(s) + 1) / (static_cast<double>(series.size()) + 1);
    auto const at = [&](double share) { return Point{left + plot * share, y}; };
    drawing.line(
        {at(*table.cell(row, spec.value.low_key).number()), at(*table.cell(row, spec.value.high_key).number())},
        color_of(s), 1.4);
    dot(drawing, at(*value), s);
  }
  figure.description = "Dots with 95 % intervals: " + spec.axis + " for " + std::to_string(groups.size()) +
                       " rows and " + std::to_string(series.size()) +
                       " series. The numbers are in the table beside it.";
  return figure;
}

Figure heat_figure(Table const& table, HeatSpec const& spec) {
  auto const rows = values_of(table, spec.rows), columns = values_of(table, spec.columns);
  double const cell_width = 46, cell_height = 26, left = std::max(widest(rows) + 30, 110.0), top = 44;
  Figure figure{table.id,
                table.title,
                {},
                Drawing(left + cell_width * static_cast<double>(columns.size()) + 10,
                        top + cell_height * static_cast<double>(rows.size()) + 10)};
  auto& drawing = figure.drawing;
  drawing.text({10, 14}, spec.row_axis + " (rows), " + spec.column_axis + " (columns)", font);
  for (std::size_t c = 0; c < columns.size(); ++c)
    drawing.text({left + cell_width * (static_cast<double>(c) + 0.5), top - 8}, columns[c], font, Anchor::middle);
  for (std::size_t r = 0; r < rows.size(); ++r)
    drawing.text({left - 8, top + cell_height * (static_cast<double>(r) + 0.5) + 4}, rows[r], font, Anchor::end);
  Range span;
  for (std::size_t row = 0; row < table.rows.size(); ++row)
    if (auto const* const value = table.cell(row, spec.value).number()) span.add(*value);
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    auto const* const value = table.cell(row, spec.value).number();
    if (value == nullptr) continue;
    bool const is_share = spec.scale == HeatScale::share;
    double const depth = is_share                 ? *value
                         : span.most > span.least ? (*value - span.least) / (span.most - span.least)
                                                  : 0.5;
    double const x = left + cell_width * static_cast<double>(place_of(columns, table.text(row, spec.columns)));
    double const y = top + cell_height * static_cast<double>(place_of(rows, table.text(row, spec.rows)));
    // From white to a dark blue; the number turns white before it would be hard to read.
    std::array<char, 8> color{};
    auto const mix = [&](int dark) { return static_cast<int>(std::lround(255 + (dark - 255) * depth)); };
    std::snprintf(color.data(), color.size(), "#%02x%02x%02x", mix(0x08), mix(0x30), mix(0x6b));
    drawing.rectangle(x, y, cell_width - 1, cell_height - 1, color.data());
    drawing.text({x + cell_width / 2, y + cell_height / 2 + 4}, is_share ? percent_text(*value) : tick_text(*value, 3),
                 font, Anchor::middle, depth > 0.62 ? "#ffffff" : "#111111");
  }
  figure.description = std::string("A grid of ") + (spec.scale == HeatScale::share ? "percentages" : "numbers") +
                       ", darker for more. The numbers are written in its cells.";
  return figure;
}

Figure line_figure(std::string id, std::string title, std::vector<Panel> const& panels) {
  std::vector<std::string> names;
  for (auto const& panel : panels)
    for (auto const& series : panel.series)
      if (std::find(names.begin(), names.end(), series.name) == names.end()) names.push_back(series.name);
  double const width = 720, height = 190, left = 64, plot = width - left - 20;
  double const top = legend_height(names, width - 20) + 6, step = height + 66;
  Figure figure{std::move(id), std::move(title), {}, Drawing(width, top + step * static_cast<double>(panels.size()))};
  auto& drawing = figure.drawing;
  legend(drawing, names, 10, 0, width - 20);
  for (std::size_t p = 0; p < panels.size(); ++p) {
    double const y = top + step * static_cast<double>(p) + 16;
    Range x_range, y_range;
    for (auto const& series : panels[p].series)
      for (auto const& point : series.points) x_range.add(point.x), y_range.add(point.y);
    Axes axes(drawing, x_range.widened(), y_range.widened(), left, y, plot, height);
    axes.draw(panels[p].x_axis);
    drawing.text({left, y - 5}, panels[p].title, font + 1);
    for (auto const& series : panels[p].series) {
      auto const s = place_of(names, series.name);
      std::vector<Point> line;
      for (auto const& point : series.points) line.push_back(axes.at(point.x, point.y));
      if (line.size() == 1) dot(drawing, line[0], s);
      if (line.size() > 1) drawing.line(std::move(line), color_of(s), 1.5);
    }
    figure.description += (p > 0 ? "; " : "Lines over " + panels[p].x_axis + ": ") + panels[p].title;
  }
  figure.description += ". The numbers are in the table beside it.";
  return figure;
}

Figure scatter_figure(std::string id, std::string title, std::vector<Series> const& dots, ScatterSpec const& spec) {
  std::vector<std::string> names;
  Range x_range, y_range;
  for (auto const& series : dots) {
    names.push_back(series.name);
    for (auto const& point : series.points) x_range.add(100 * point.x), y_range.add(100 * point.y);
  }
  double const width = 720, height = 330, left = 64, plot = width - left - 20,
               top = legend_height(names, width - 20) + 24;
  Figure figure{std::move(id), std::move(title), {}, Drawing(width, top + height + 44)};
  auto& drawing = figure.drawing;
  legend(drawing, names, 10, 0, width - 20);
  Axes axes(drawing, x_range.widened(), y_range.widened(), left, top, plot, height);
  axes.draw(spec.x_axis);
  drawing.text({left, top - 7}, spec.y_axis, font + 1);
  for (std::size_t s = 0; s < dots.size(); ++s)
    for (auto const& point : dots[s].points) dot(drawing, axes.at(100 * point.x, 100 * point.y), s, 5);
  figure.description = spec.y_axis + " against " + spec.x_axis + ", a dot for each of " + std::to_string(dots.size()) +
                       ". The numbers are in the tables beside it.";
  return figure;
}

}  // namespace refrain::report

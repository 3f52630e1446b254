#pragma once

#include <refrain/page/drawing.hpp>
#include <refrain/report/table.hpp>

#include <string>
#include <vector>

/// Pictures of tables. Each shows columns that it is told, and knows nothing of what they mean.
namespace refrain::report {

using page::Alternative;
using page::Drawing;
using page::Point;

/// A drawing with what stands under it.
struct Figure {
  std::string id, title;
  std::string description;  ///< what the picture shows, for those who do not see it
  Drawing drawing;

  Alternative alternative() const { return {"figure-" + id, title, description}; }
};

/// Which columns of a table a picture shows.
struct DotSpec {
  std::string group, series;  ///< a row of dots for each value of `group`, a color for each of `series`
  PivotValue value;           ///< a share, and its interval
  std::string axis;           ///< what the axis says
};
/// Dots with whiskers, from 0 to 100 %.
Figure dot_figure(Table const& table, DotSpec const& spec);

/// What a cell's value is: a share, dark at 100 %, or any number, dark at the greatest of its picture.
enum class HeatScale { share, span };
struct HeatSpec {
  std::string rows, columns, value;
  std::string row_axis, column_axis;
  HeatScale scale = HeatScale::share;
};
/// A cell for every pair, darker for more, with its percentage or number written in it.
Figure heat_figure(Table const& table, HeatSpec const& spec);

/// A named line, or named dots.
struct Series {
  std::string name;
  std::vector<Point> points;
};
struct Panel {
  std::string title, x_axis;
  std::vector<Series> series;
};
/// Panels above each other, a color for each series name.
Figure line_figure(std::string id, std::string title, std::vector<Panel> const& panels);

struct ScatterSpec {
  std::string x_axis, y_axis;
};
/// Shares against shares, in percent; the axes span what there is.
Figure scatter_figure(std::string id, std::string title, std::vector<Series> const& dots, ScatterSpec const& spec);

}  // namespace refrain::report

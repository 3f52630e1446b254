#pragma once

#include <string>
#include <vector>

namespace refrain::page {

struct Point {
  double x, y;
};

enum class Anchor { start, middle, end };

/// A picture of a few kinds of shapes, in points (1/72 inch) from the upper left corner. It is written as SVG for pages
/// and as PDF for LaTeX: two short writers of our own, so that the same numbers are the same bytes and no other program
/// has to be there.
class Drawing {
public:
  Drawing(double width, double height) : width_(width), height_(height) {}

  double width() const noexcept { return width_; }
  double height() const noexcept { return height_; }

  /// Colors are "#rrggbb".
  void line(std::vector<Point> points, std::string color, double width);
  void fill(std::vector<Point> corners, std::string color);
  void rectangle(double x, double y, double width, double height, std::string color);
  /// `at` is on the text's baseline.
  void text(Point at, std::string words, double size, Anchor anchor = Anchor::start, std::string color = "#222222");

  struct Shape {
    enum class Kind { line, fill, text } kind;
    std::vector<Point> points;
    std::string color;
    double size;  ///< width of the line, or height of the text
    std::string words = {};
    Anchor anchor = Anchor::start;
  };
  std::vector<Shape> const& shapes() const noexcept { return shapes_; }

private:
  double width_, height_;
  std::vector<Shape> shapes_;
};

/// What a reader who does not see the picture is told.
struct Alternative {
  std::string id, title, description;
};

/// An <svg> element; `title` and `description` stand in it for screen readers.
std::string to_svg(Drawing const& drawing, Alternative const& alternative);
/// A PDF of one page. Letters beyond Latin-1 become question marks.
std::string to_pdf(Drawing const& drawing, Alternative const& alternative);
/// Width of `words` in Helvetica of this size; what is not ASCII counts as an `n`.
double text_width(std::string const& words, double size);

/// `text` with &, <, > and quotes as HTML and XML write them.
std::string escape_html(std::string const& text);

}  // namespace refrain::page

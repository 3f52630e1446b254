#include <refrain/page/drawing.hpp>

#include <refrain/base/joined.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>

namespace refrain::page {
namespace {

/// Widths of ' ' to '~' in Helvetica, in thousandths of its size (Adobe's font metrics).
constexpr std::array<int, 95> helvetica{278,  278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
                                        556,  556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
                                        1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
                                        667,  778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
                                        333,  556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
                                        556,  556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584};

std::string fixed(double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.2f", value);
  std::string number = text.data();
  number.erase(number.find_last_not_of('0') + 1);
  if (number.back() == '.') number.pop_back();
  return number == "-0" ? "0" : number;
}

/// The code point at `at`, which moves behind it; 0xfffd for what is not UTF-8.
uint32_t next_letter(std::string const& text, std::size_t& at) {
  auto const byte = static_cast<unsigned char>(text[at++]);
  int const more = byte < 0x80 ? 0 : byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc0 ? 1 : -1;
  if (more <= 0) return more == 0 ? byte : 0xfffd;
  uint32_t letter = byte & (0x3fU >> more);
  for (int i = 0; i < more; ++i) {
    if (at >= text.size() || (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80) return 0xfffd;
    letter = letter << 6 | (static_cast<unsigned char>(text[at++]) & 0x3f);
  }
  return letter;
}

/// A string of PDF in WinAnsiEncoding, whose upper half is Latin-1 but for a few signs.
std::string pdf_string(std::string const& words) {
  std::string text = "(";
  for (std::size_t at = 0; at < words.size();) {
    auto const letter = next_letter(words, at);
    if (letter == 0x2013)
      text += "\\226";
    else if (letter > 0xff || (letter >= 0x80 && letter < 0xa0) || letter < 0x20)
      text += '?';
    else if (letter == '(' || letter == ')' || letter == '\\')
      text += std::string("\\") + static_cast<char>(letter);
    else
      text += static_cast<char>(letter);
  }
  return text + ")";
}

std::string pdf_color(std::string const& color) {
  std::string text;
  for (int i = 0; i < 3; ++i) {
    auto const part = std::stoi(color.substr(static_cast<std::size_t>(1 + 2 * i), 2), nullptr, 16);
    text += fixed(part / 255.0) + " ";
  }
  return text;
}

}  // namespace

void Drawing::line(std::vector<Point> points, std::string color, double width) {
  shapes_.push_back({Shape::Kind::line, std::move(points), std::move(color), width});
}

void Drawing::fill(std::vector<Point> corners, std::string color) {
  shapes_.push_back({Shape::Kind::fill, std::move(corners), std::move(color), 0});
}

void Drawing::rectangle(double x, double y, double width, double height, std::string color) {
  fill({{x, y}, {x + width, y}, {x + width, y + height}, {x, y + height}}, std::move(color));
}

void Drawing::text(Point at, std::string words, double size, Anchor anchor, std::string color) {
  shapes_.push_back({Shape::Kind::text, {at}, std::move(color), size, std::move(words), anchor});
}

double text_width(std::string const& words, double size) {
  int thousandths = 0;
  for (std::size_t at = 0; at < words.size();) {
    auto const letter = next_letter(words, at);
    thousandths += letter >= ' ' && letter <= '~' ? helvetica[letter - ' '] : 556;
  }
  return thousandths * size / 1000;
}

std::string escape_html(std::string const& text) {
  std::string safe;
  safe.reserve(text.size());
  for (char const c : text)
    if (c == '&')
      safe += "&amp;";
    else if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '"')
      safe += "&quot;";
    else
      safe += c;
  return safe;
}

std::string to_svg(Drawing const& drawing, Alternative const& alternative) {
  auto const& [id, title, description] = alternative;
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-labelledby=\"" + id + "-title " + id +
                    "-desc\" width=\"" + fixed(drawing.width()) + "\" height=\"" + fixed(drawing.height()) +
                    "\" viewBox=\"0 0 " + fixed(drawing.width()) + " " + fixed(drawing.height()) +
                    "\" font-family=\"Helvetica, Arial, sans-serif\">\n<title id=\"" + id + "-title\">" +
                    escape_html(title) + "</title>\n<desc id=\"" + id + "-desc\">" + escape_html(description) +
                    "</desc>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  for (auto const& shape : drawing.shapes()) {
    if (shape.kind == Drawing::Shape::Kind::text) {
      char const* const anchors[] = {"start", "middle", "end"};
      svg += "<text x=\"" + fixed(shape.points[0].x) + "\" y=\"" + fixed(shape.points[0].y) + "\" font-size=\"" +
             fixed(shape.size) + "\" text-anchor=\"" + anchors[static_cast<int>(shape.anchor)] + "\" fill=\"" +
             shape.color + "\">" + escape_html(shape.words) + "</text>\n";
      continue;
    }
    auto const shown = [](auto const& point) { return fixed(point.x) + "," + fixed(point.y); };
    std::string const points = joined(shape.points | std::views::transform(shown), " ");
    if (shape.kind == Drawing::Shape::Kind::fill)
      svg += "<polygon points=\"" + points + "\" fill=\"" + shape.color + "\"/>\n";
    else
      svg += "<polyline points=\"" + points + "\" fill=\"none\" stroke=\"" + shape.color + "\" stroke-width=\"" +
             fixed(shape.size) + "\"/>\n";
  }
  return svg + "</svg>\n";
}

std::string to_pdf(Drawing const& drawing, Alternative const& alternative) {
  std::string content;
  auto const place = [&](Point const& point) { return fixed(point.x) + " " + fixed(drawing.height() - point.y) + " "; };
  for (auto const& shape : drawing.shapes()) {
    if (shape.kind == Drawing::Shape::Kind::text) {
      double const shift = static_cast<int>(shape.anchor) * text_width(shape.words, shape.size) / 2;
      content += "BT " + pdf_color(shape.color) + "rg /F1 " + fixed(shape.size) + " Tf " +
                 place({shape.points[0].x - shift, shape.points[0].y}) + "Td " + pdf_string(shape.words) + " Tj ET\n";
      continue;
    }
    bool const filled = shape.kind == Drawing::Shape::Kind::fill;
    content += filled ? pdf_color(shape.color) + "rg " : pdf_color(shape.color) + "RG " + fixed(shape.size) + " w ";
    for (std::size_t i = 0; i < shape.points.size(); ++i) content += place(shape.points[i]) + (i == 0 ? "m " : "l ");
    content += filled ? "h f\n" : "S\n";
  }
  std::vector<std::string> const objects{
      "<< /Type /Catalog /Pages 2 0 R >>",
      "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
      "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 " + fixed(drawing.width()) + " " + fixed(drawing.height()) +
          "] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
      "<< /Length " + std::to_string(content.size()) + " >>\nstream\n" + content + "endstream",
      "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
      "<< /Title " + pdf_string(alternative.title) + " >>"};
  std::string pdf = "%PDF-1.4\n";
  std::string index;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    std::array<char, 32> entry{};
    std::snprintf(entry.data(), entry.size(), "%010zu 00000 n \n", pdf.size());
    index += entry.data();
    pdf += std::to_string(i + 1) + " 0 obj\n" + objects[i] + "\nendobj\n";
  }
  auto const start = pdf.size();
  auto const count = std::to_string(objects.size() + 1);
  return pdf + "xref\n0 " + count + "\n0000000000 65535 f \n" + index + "trailer\n<< /Size " + count +
         " /Root 1 0 R /Info 6 0 R >>\nstartxref\n" + std::to_string(start) + "\n%%EOF\n";
}

}  // namespace refrain::page

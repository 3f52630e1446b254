#include <refrain/report/document.hpp>

namespace refrain::report {
namespace {

// Dark on white at 7 : 1 or better. Wide tables and figures scroll within themselves; on paper they are whole.
constexpr char style[] = R"css(
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; font: 1rem/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif;
  color: #1a1a1a; background: #ffffff; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.3rem; margin-top: 2.5rem; border-top: 1px solid #b0b0b0;
  padding-top: 1rem; } h3 { font-size: 1.05rem; }
p { max-width: 46rem; } a { color: #004a8f; } nav ul { columns: 18rem; padding-left: 1.2rem; }
.skip { position: absolute; left: -100rem; } .skip:focus { left: 1rem; top: .5rem; background: #ffffff; padding: .5rem; }
:focus-visible { outline: 3px solid #004a8f; outline-offset: 2px; }
.scroll { overflow-x: auto; margin: .5rem 0; } .scroll svg { display: block; max-width: none; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .25rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid #d5d5d5;
  overflow-wrap: normal; }
thead th { border-bottom: 2px solid #1a1a1a; } tbody th { font-weight: 600; } .number { text-align: right; } td.number { white-space: nowrap; }
tbody th, thead th:first-child { position: sticky; left: 0; background: #ffffff; min-width: 6rem; }
thead th { vertical-align: bottom; } td.long { min-width: 12rem; overflow-wrap: anywhere; }
figure { margin: 1.5rem 0; } figcaption, .note { font-size: .9rem; color: #404040; max-width: 46rem; }
summary { cursor: pointer; color: #004a8f; } blockquote { margin: .5rem 0; padding: .2rem 1rem; border-left: 4px solid #808080;
  white-space: pre-wrap; }
@media print { body { max-width: none; font-size: 9pt; } .skip, nav { display: none; } .scroll { overflow: visible; }
  tbody th, thead th:first-child { position: static; } table { font-size: 7pt; } .scroll svg { max-width: 100%; height: auto; } h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; } thead { display: table-header-group; } }
)css";

std::string element(char const* name, std::string const& text) {
  return std::string("<") + name + ">" + escape_html(text) + "</" + name + ">\n";
}

bool is_number(Format format) { return format != Format::text; }

/// @param id of the caption, which names the region that scrolls
std::string html_table(Table const& table, std::string const& id) {
  std::string html = "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"" + id +
                     "\">\n<table>\n<caption id=\"" + id + "\">" + escape_html(table.title) + "</caption>\n<thead><tr>";
  for (auto const& column : table.columns)
    html += std::string("<th scope=\"col\"") + (is_number(column.format) ? " class=\"number\"" : "") + ">" +
            escape_html(column.title) + "</th>";
  html += "</tr></thead>\n<tbody>\n";
  for (auto const& row : table.rows) {
    html += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c) {
      auto const text = formatted(row[c], table.columns[c].format);
      char const* const kind = is_number(table.columns[c].format) ? " class=\"number\""
                               : text.size() > 40                 ? " class=\"long\""
                                                                  : "";
      char const* const name = c == 0 ? "th" : "td";
      html += std::string("<") + name + (c == 0 ? " scope=\"row\"" : "") + kind + ">" + escape_html(text) + "</" +
              name + ">";
    }
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n</div>\n";
}

std::string html_view(View const& view, std::string const& id) {
  std::string html = html_table(view.table, id + "-caption");
  if (!view.note.empty()) html += "<p class=\"note\">" + escape_html(view.note) + "</p>\n";
  for (std::size_t i = 0; i < view.more.size(); ++i)
    html += "<details>\n<summary>" + escape_html(view.more[i].title) + ": " + std::to_string(view.more[i].rows.size()) +
            " rows</summary>\n" + html_table(view.more[i], id + "-more-" + std::to_string(i)) + "</details>\n";
  return html + "<p class=\"note\">All numbers: <a href=\"" + view.table.id + ".csv\">" + view.table.id +
         ".csv</a></p>\n";
}

std::string html_figure(Figure const& figure) {
  auto const caption = "caption-" + figure.id;
  return "<figure aria-labelledby=\"" + caption +
         "\">\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"" + caption + "\">\n" +
         to_svg(figure.drawing, figure.alternative()) + "</div>\n<figcaption id=\"" + caption + "\">" +
         escape_html(figure.title) + " (<a href=\"" + figure.id + ".svg\">SVG</a>, <a href=\"" + figure.id +
         ".pdf\">PDF</a>)</figcaption>\n</figure>\n";
}

std::string html_example(Example const& example) {
  return "<details>\n<summary>" + escape_html(example.heading) + "</summary>\n<p>Prompt</p>\n<blockquote>" +
         escape_html(example.prompt) + "</blockquote>\n<p>Answer</p>\n<blockquote>" + escape_html(example.answer) +
         "</blockquote>\n</details>\n";
}

}  // namespace

std::string to_html(Document const& document) {
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n<title>" +
      escape_html(document.title) + "</title>\n<style>" + style +
      "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#content\">Skip to the content</a>\n<header>\n" +
      element("h1", document.title) + "</header>\n<nav aria-label=\"Contents\">\n<ul>\n";
  for (auto const& section : document.sections)
    html += "<li><a href=\"#" + section.id + "\">" + escape_html(section.title) + "</a></li>\n";
  html += "</ul>\n</nav>\n<main id=\"content\">\n";
  for (auto const& paragraph : document.summary) html += element("p", paragraph);
  for (auto const& section : document.sections) {
    html += "<section id=\"" + section.id + "\" aria-labelledby=\"" + section.id + "-title\">\n<h2 id=\"" + section.id +
            "-title\">" + escape_html(section.title) + "</h2>\n";
    for (auto const& paragraph : section.paragraphs) html += element("p", paragraph);
    for (auto const& figure : section.figures) html += html_figure(figure);
    for (std::size_t i = 0; i < section.views.size(); ++i)
      html += html_view(section.views[i], section.id + "-" + std::to_string(i));
    for (auto const& example : section.examples) html += html_example(example);
    html += "</section>\n";
  }
  return html + "</main>\n</body>\n</html>\n";
}

}  // namespace refrain::report

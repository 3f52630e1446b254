#include <refrain/page/html.hpp>
#include <refrain/report/document.hpp>

namespace refrain::report {
namespace {

using page::escape_html;

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
         page::to_svg(figure.drawing, figure.alternative()) + "</div>\n<figcaption id=\"" + caption + "\">" +
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
  std::string html = page::html_begin(document.title) + "<nav aria-label=\"Contents\">\n<ul>\n";
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
  return html + "</main>\n" + page::html_end();
}

}  // namespace refrain::report

#include <refrain/page/html.hpp>

namespace refrain::page {
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

}  // namespace

std::string html_begin(std::string const& title) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
         "content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n<title>" +
         escape_html(title) + "</title>\n<style>" + style +
         "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#content\">Skip to the content</a>\n<header>\n<h1>" +
         escape_html(title) + "</h1>\n</header>\n";
}

std::string html_end() { return "</body>\n</html>\n"; }

}  // namespace refrain::page

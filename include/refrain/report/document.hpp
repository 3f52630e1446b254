#pragma once

#include <refrain/report/figures.hpp>
#include <refrain/report/table.hpp>

#include <string>
#include <vector>

namespace refrain::report {

/// A table as people see it; the whole of it stands in `table.id`.csv.
struct View {
  Table table;
  std::string note = {};    ///< under it; may be empty
  std::vector<Table> more;  ///< in full, folded away
};

/// An answer shown with its prompt, for `--include-text`.
struct Example {
  std::string heading, prompt, answer;
};

struct Section {
  std::string id, title;
  std::vector<std::string> paragraphs;
  std::vector<View> views = {};
  std::vector<Figure> figures = {};
  std::vector<Example> examples = {};
};

/// What all forms of the report are made from.
struct Document {
  std::string title;
  std::vector<std::string> summary;  ///< paragraphs before the first section
  std::vector<Section> sections;
  std::vector<Table> tables;  ///< whole, for CSV
};

/// One page of HTML that needs nothing else: no script, style and figures within.
std::string to_html(Document const& document);

/// A `table` environment with booktabs rules, caption and the label `tab:ID`.
std::string to_latex(Table const& table);
/// A `longtable` for what does not fit a page.
std::string to_long_latex(Table const& table);
/// `text` with LaTeX's special characters escaped.
std::string escape_latex(std::string const& text);
/// The same, with places for lines to break inside paths, digests and other long words.
std::string breakable_latex(std::string const& text);

}  // namespace refrain::report

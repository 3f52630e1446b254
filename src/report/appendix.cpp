#include "sections.hpp"

#include <refrain/base/provenance.hpp>

namespace refrain::report {

std::string appendix(Inputs const& inputs) {
  std::string text =
      "% \\usepackage{booktabs,longtable,array,graphicx}\n\\section{Settings of the experiments}\n\nTables and "
      "figures were made by "
      "Refrain " +
      breakable_latex(std::string(version()) + ", revision " + git_revision()) + ".\n\n";
  auto const add = [&](Table const& table, char const* without) {
    // Many columns are made to fit, many rows go over pages.
    bool const is_wide = table.columns.size() > 6;
    text +=
        table.rows.empty() ? std::string(without) + "\n\n" : (is_wide ? to_latex(table) : to_long_latex(table)) + "\n";
  };
  auto settings = settings_table(inputs.results, inputs.runs, inputs.identity());
  add(settings, "");
  add(deviations_table(inputs.runs), inputs.runs.empty() ? "No training run was given." : "Training is the paper's.");
  add(with_language_names(pairs_table(inputs.runs), inputs, Daggers::none), "The numbers of pairs are not known here.");
  add(hours_table(inputs.runs), "The hours of training are not known here.");
  add(files_table(inputs.results, inputs.identity()), "");
  text += "Not measured:\n\\begin{itemize}\n";
  for (auto const& sentence : not_measured(inputs)) text += "\\item " + escape_latex(sentence) + "\n";
  return text + "\\end{itemize}\n";
}

}  // namespace refrain::report

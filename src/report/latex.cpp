#include <refrain/report/document.hpp>

namespace refrain::report {
namespace {

std::string alignment(Table const& table) {
  std::string letters;
  for (auto const& column : table.columns) letters += column.format == Format::text ? 'l' : 'r';
  return letters;
}

std::string row_text(std::vector<std::string> const& cells) {
  std::string line;
  for (std::size_t c = 0; c < cells.size(); ++c) line += (c > 0 ? " & " : "") + cells[c];
  return line + " \\\\\n";
}

std::string heading(Table const& table) {
  std::vector<std::string> titles;
  for (auto const& column : table.columns) titles.push_back(escape_latex(column.title));
  return row_text(titles);
}

std::string body(Table const& table, std::string (*text_of)(std::string const&)) {
  std::string lines;
  for (auto const& row : table.rows) {
    std::vector<std::string> cells;
    for (std::size_t c = 0; c < row.size(); ++c) cells.push_back(text_of(formatted(row[c], table.columns[c].format)));
    lines += row_text(cells);
  }
  return lines;
}

}  // namespace

std::string escape_latex(std::string const& text) {
  std::string safe;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char const c = text[i];
    if (std::string("&%$#_{}").find(c) != std::string::npos)
      safe += std::string("\\") + c;
    else if (c == '\\')
      safe += "\\textbackslash{}";
    else if (c == '~')
      safe += "\\textasciitilde{}";
    else if (c == '^')
      safe += "\\textasciicircum{}";
    else if (c == '<' || c == '>')
      safe += c == '<' ? "\\textless{}" : "\\textgreater{}";
    else if (text.compare(i, 3, "\u2013") == 0)
      safe += "--", i += 2;
    else if (text.compare(i, 3, "\u2020") == 0)
      safe += "\\textdagger{}", i += 2;
    else
      safe += c;
  }
  return safe;
}

std::string breakable_latex(std::string const& text) {
  constexpr std::size_t longest_run = 10;
  std::string broken, run;
  auto const end_run = [&] {
    broken += escape_latex(run);
    run.clear();
  };
  std::size_t letters = 0;
  for (char const c : text) {
    bool const begins_letter = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (letters == longest_run && begins_letter) {
      end_run();
      broken += "\\allowbreak{}";
      letters = 0;
    }
    run += c;
    letters += begins_letter;
    if (std::string("/_-.,:=").find(c) != std::string::npos) {
      end_run();
      broken += "\\allowbreak{}";
      letters = 0;
    } else if (c == ' ') {
      letters = 0;
    }
  }
  end_run();
  return broken;
}

std::string to_latex(Table const& table) {
  // One that is wider than the page is made smaller.
  return "% \\usepackage{booktabs,graphicx}\n\\begin{table}\n\\centering\n\\caption{" + escape_latex(table.title) +
         "}\n\\label{tab:" + table.id +
         "}\n\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n\\begin{tabular}{" +
         alignment(table) + "}\n\\toprule\n" + heading(table) + "\\midrule\n" + body(table, escape_latex) +
         "\\bottomrule\n\\end{tabular}}\n\\end{table}\n";
}

std::string to_long_latex(Table const& table) {
  std::string columns;
  // Words may be long: they wrap in columns of equal width.
  std::size_t words = 0;
  for (auto const& column : table.columns) words += column.format == Format::text;
  for (auto const& column : table.columns)
    columns += column.format != Format::text
                   ? std::string("r")
                   : ">{\\raggedright\\arraybackslash}p{" + std::to_string(words > 0 ? 70 / words : 70) + "ex}";
  return "\\begin{longtable}{" + columns + "}\n\\caption{" + escape_latex(table.title) + "}\\label{tab:" + table.id +
         "}\\\\\n\\toprule\n" + heading(table) + "\\midrule\n\\endfirsthead\n\\toprule\n" + heading(table) +
         "\\midrule\n\\endhead\n\\bottomrule\n\\endlastfoot\n" + body(table, breakable_latex) + "\\end{longtable}\n";
}

}  // namespace refrain::report

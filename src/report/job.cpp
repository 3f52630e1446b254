#include <refrain/report/job.hpp>

#include "sections.hpp"

#include <refrain/base/anonymous.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/report/ranking.hpp>
#include <refrain/report/tensorboard.hpp>

#include <iostream>
#include <map>

namespace refrain::report {
namespace {

Json make_provenance(Options const& options) {
  Provenance provenance("refrain-report", options.record);
  for (auto const* files : {&options.verdicts, &options.dev_verdicts, &options.responses})
    for (auto const& file : *files) provenance.add_input(file.path);
  for (auto const& run : options.runs) provenance.add_input(run / "run.json");
  return options.anonymous ? anonymised(provenance.json()) : provenance.json();
}

/// All files of the report by name.
std::map<std::string, std::string> make_files(Inputs const& inputs) {
  auto const document = make_document(inputs);
  std::map<std::string, std::string> files;
  for (auto const& table : document.tables) files[table.id + ".csv"] = to_csv(table);
  for (auto const& section : document.sections) {
    for (auto const& view : section.views) {
      bool const long_table = view.table.rows.size() > 40;
      files[view.table.id + ".tex"] = long_table ? to_long_latex(view.table) : to_latex(view.table);
    }
    for (auto const& figure : section.figures) {
      files[figure.id + ".svg"] = page::to_svg(figure.drawing, figure.alternative());
      files[figure.id + ".pdf"] = page::to_pdf(figure.drawing, figure.alternative());
    }
  }
  files["appendix.tex"] = appendix(inputs);
  files["report.json"] = dump_text(make_provenance(inputs.options), 2) + "\n";
  files["report.html"] = to_html(document);
  return files;
}

/// Files of an earlier report that this one does not have: a reader would take them for its own.
void remove_others(std::filesystem::path const& folder, std::map<std::string, std::string> const& files) {
  for (auto const& entry : std::filesystem::directory_iterator(folder)) {
    auto const extension = entry.path().extension();
    bool const ours = extension == ".csv" || extension == ".tex" || extension == ".svg" || extension == ".pdf";
    if (ours && !files.contains(entry.path().filename().string())) std::filesystem::remove(entry.path());
  }
}

}  // namespace

Exit run(Options const& options) {
  if (options.command == "tensorboard") return write_tensorboard(options);
  auto const results = read_results(options);
  std::vector<Run> runs;
  for (auto const& folder : options.runs) runs.push_back(read_run(folder));
  auto const languages = Languages::load();
  auto const dev = read_dev_results(options, results, runs);
  auto const files = make_files({options, results, runs, languages, dev});
  make_folders(options.out);
  // The mark of a report's folder first, the page last.
  write_file_atomically(options.out / "report.json", files.at("report.json"));
  for (auto const& [name, text] : files)
    if (name != "report.html") write_file_atomically(options.out / name, text);
  write_file_atomically(options.out / "report.html", files.at("report.html"));
  remove_others(options.out, files);
  std::cout << (options.out / "report.html").string() << "\n" << std::flush;
  return Exit::success;
}

}  // namespace refrain::report

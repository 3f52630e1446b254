#include <refrain/base/error.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/evaluation.hpp>
#include <refrain/study/process.hpp>
#include <refrain/study/program_options.hpp>

#include <iostream>

namespace refrain::study {

Words report_line(std::vector<Subject> const& all, std::vector<Subject> const& judged, Settings const& settings) {
  auto const folder = settings.studies.size() == 1 ? settings.runs / settings.studies.front() : settings.runs;
  Words line{program("report").string(), "--verdicts"};
  // "Before" first: the others are compared with it. Members are named by their run folders, which their answers know.
  line.push_back("base=" + judged.back().verdicts().string());
  for (auto const& subject : judged)
    if (!subject.is_base()) line.push_back(subject.verdicts().string());
  Words runs, dev;
  for (auto const& subject : all)  // those that failed too: their hours count
    if (!subject.is_base() && std::filesystem::exists(subject.folder / "run.json")) {
      runs.push_back(subject.folder.string());
      if (auto const verdicts = subject.folder / "dev" / "verdicts.h5"; std::filesystem::exists(verdicts))
        dev.push_back(verdicts.string());
    }
  if (!runs.empty()) line.push_back("--runs");
  line.insert(line.end(), runs.begin(), runs.end());
  if (!dev.empty()) line.push_back("--dev-verdicts");
  line.insert(line.end(), dev.begin(), dev.end());
  auto const more = add_args({"--out", (folder / "report").string()}, settings.report_args, {"REFRAIN_REPORT_ARGS"});
  line.insert(line.end(), more.begin(), more.end());
  return line;
}

Exit run_report(Options const& options) {
  install_stop_handlers();  // it takes seconds: what comes before time is up does not end it
  auto const [settings, job, subjects] = begin_evaluation(options, "report", {});
  if (!settings.split.empty())
    throw UsageError("REFRAIN_SPLIT is dev, and the report is about the test",
                     "unset it, or rank by refrain-study rank");
  auto const judged = complete_subjects(subjects, &Subject::verdicts, start_line({"judge"}) + " makes them");
  auto const line = report_line(subjects, judged, settings);
  if (options.dry_run) {
    std::cout << join_words(line) << "\n";
    return Exit::success;
  }
  log_line(join_words(line));
  if (int const code = run_forwarding(line); code != 0)
    throw Error("refrain-report ended with " + exit_text(code), "its lines are above");
  return Exit::success;
}

}  // namespace refrain::study

#include <refrain/report/options.hpp>

#include <refrain/base/files.hpp>

#include <set>

namespace refrain::report {
namespace {

namespace fs = std::filesystem;

std::vector<NamedFile> parse_all(std::vector<std::string> const& words, std::string const& option) {
  std::vector<NamedFile> files;
  std::set<fs::path> seen;
  for (auto const& word : words) {
    files.push_back(NamedFile::parse(word, option));
    require_readable_file(files.back().path, option);
    if (!seen.insert(fs::weakly_canonical(files.back().path)).second)
      throw UsageError(option + " names a file twice", "name each file once", {.file = files.back().path});
  }
  return files;
}

/// @throws UsageError if the folder has something in it that none of our calls has put there. @param kind what they
/// make
void require_replaceable(fs::path const& folder, std::string const& mark, std::string const& kind) {
  if (!fs::exists(folder)) return;
  if (!fs::is_directory(folder))
    throw UsageError("--out names a file, where a folder is wanted", "name a folder", {.file = folder});
  if (!fs::is_empty(folder) && !fs::exists(folder / mark))
    throw UsageError("--out names a folder that holds something else than " + kind,
                     "name a new folder, or that of an earlier " + kind.substr(kind.find(' ') + 1), {.file = folder});
}

}  // namespace

NamedFile NamedFile::parse(std::string const& word, std::string const& option) {
  auto const equals = word.find('=');
  if (equals == std::string::npos || fs::exists(word)) return {.name = {}, .path = word};
  NamedFile file{.name = word.substr(0, equals), .path = word.substr(equals + 1)};
  if (file.name.empty() || file.path.empty())
    throw UsageError(option + ": '" + word + "' lacks its " + (file.name.empty() ? "name" : "file"),
                     "write NAME=FILE.h5, or FILE.h5 alone");
  return file;
}

OptionTable Options::table(Options& options) {
  OptionTable table("report",
                    "Makes tables, figures and one page that reads by itself (report.html) from verdict files and "
                    "training runs. Needs no MPI.");
  table.without_command(options.command)
      .group("Input and output")
      .add("verdicts", options.verdict_words,
           "verdicts.v1 with final labels; NAME labels the checkpoint, else its run's own name does. Files of one NAME "
           "are joined",
           "[NAME=]FILE.h5...")
      .required("runs")
      .add("runs", options.runs, "training runs, for their curves and settings; those of a sweep are ranked", "DIR...")
      .add("dev-verdicts", options.dev_verdict_words,
           "verdicts about answers to dev prompts, of --runs: members of a sweep are ranked by these, and never by "
           "--verdicts",
           "[NAME=]FILE.h5...")
      .add("out", options.out, "folder to make, or of an earlier report", "DIR")
      .required();
  table.group("Comparison")
      .add("baseline", options.baseline, "the checkpoint that the others are compared with; the first if not given",
           "NAME")
      .add("resamples", options.resamples, "of the cluster bootstrap", Range<int64_t>{.least = 100, .most = 100'000})
      .add("seed", options.seed, "of the cluster bootstrap and of the choice of examples", Range<int64_t>{.least = 0});
  table.group("Text and privacy")
      .flag("anonymous", options.anonymous,
            "leave out hosts, paths, users, accounts and job ids, for double-blind review")
      .flag("include-text", options.include_text,
            "show prompts and answers, which may be harmful, where judges differ or an attack succeeded")
      .add("responses", options.response_words,
           "responses.v1 of the same NAMEs: for --include-text, and for prompts that are nearly the same where no "
           "category "
           "is known",
           "[NAME=]FILE.h5...")
      .add("examples", options.examples, "answers shown a checkpoint and language",
           Range<int64_t>{.least = 1, .most = 1000})
      .add("include-category", options.include_categories,
           "S4: show text of this category too, which is otherwise left out (docs/report.md says why)", "S4");
  table
      .command(options.command, "tensorboard",
               "Writes the metrics of training runs as TensorBoard's event files, a folder a run")
      .add("runs", options.runs, "training runs, finished or not", "DIR...")
      .required()
      .add("out", options.out, "folder to make, or of an earlier export, which is replaced", "DIR")
      .required()
      .flag("anonymous", options.anonymous, "leave out hosts, paths, users, accounts and job ids");
  return table;
}

void Options::validate() {
  verdicts = parse_all(verdict_words, "--verdicts");
  dev_verdicts = parse_all(dev_verdict_words, "--dev-verdicts");
  responses = parse_all(response_words, "--responses");
  for (auto const& dev : dev_verdicts)
    for (auto const& test : verdicts)
      if (fs::equivalent(dev.path, test.path))
        throw UsageError("--dev-verdicts names a file of --verdicts",
                         "nothing is ranked by test verdicts: give verdicts about answers to dev prompts",
                         {.file = dev.path});
  if (!dev_verdicts.empty() && runs.empty())
    throw UsageError("--dev-verdicts is given without --runs", "give the runs that are to be ranked");
  if (include_text && responses.empty())
    throw UsageError("--include-text is given without --responses", "name the files that have the text");
  check_included(include_categories, include_text);
  for (auto const& run : runs) require_folder(run, "--runs");
  if (command == "tensorboard")
    require_replaceable(out, "tensorboard.json", "an export for TensorBoard");
  else
    require_replaceable(out, "report.json", "a report");
}

}  // namespace refrain::report

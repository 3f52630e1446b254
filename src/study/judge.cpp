#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/evaluation.hpp>

#include <algorithm>
#include <iostream>
#include <iterator>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

Words const set_by_the_study{"--judge",    "--checkpoint", "--endpoint",       "--model", "--responses",
                             "--verdicts", "--out",        "--language-model", "--guards"};

/// `refrain-judge --judge NAME MODEL...`, with options of the user's where a model is asked.
Words judge_line(Guard const& guard, Words const& args, std::string const& variable) {
  Words line{program("judge").string(), "--judge", guard.judge};
  line.insert(line.end(), guard.model.begin(), guard.model.end());
  if (!guard.asks_model) return line;
  Words const defaults = guard.asks_server ? Words{} : Words{"--tensor-parallel", "1"};
  auto const more = merge_options(defaults, args, set_by_the_study, variable);
  line.insert(line.end(), more.begin(), more.end());
  return line;
}

/// Adds `option` and its files, one for each subject, to the line.
template <class File>
void add_files(Words& line, std::string const& option, std::vector<Subject> const& subjects, File const& file) {
  line.push_back(option);
  for (auto const& subject : subjects) line.push_back(file(subject).string());
}

JudgeStart guard_start(Guard const& guard, std::vector<Subject> const& subjects, Settings const& settings) {
  auto const out = [&](Subject const& subject) { return subject.verdicts_of(guard.name); };
  JudgeStart start{.program = {.what = "verdicts of " + guard.name,
                               .line = judge_line(guard, settings.judge_args, "REFRAIN_JUDGE_ARGS"),
                               .outs = {}}};
  add_files(start.program.line, "--responses", subjects, [](Subject const& subject) { return subject.responses(); });
  add_files(start.program.line, "--out", subjects, out);
  for (auto const& subject : subjects) start.program.outs.push_back(out(subject));
  return start;
}

/// Adds `--verdicts` and the files of these judges on one model's answers to the line.
void add_verdicts(Words& line, std::vector<Guard> const& guards, Subject const& subject) {
  line.push_back("--verdicts");
  for (auto const& guard : guards) line.push_back(subject.verdicts_of(guard.name).string());
}

/// The guards whose agreement decides.
std::vector<Guard> deciding(std::vector<Guard> const& guards, Settings const& settings) {
  std::vector<Guard> chosen;
  auto const& names = settings.deciders;
  std::copy_if(guards.begin(), guards.end(), std::back_inserter(chosen), [&](Guard const& guard) {
    return guard.kind == "safety" &&
           (names.empty() || std::find(names.begin(), names.end(), guard.name) != names.end());
  });
  return chosen;
}

/// The start that asks the adjudicator about one model's answers, where the guards that decide differ. The other
/// judges' verdicts are not given, so that a judge more does not make it ask again.
JudgeStart adjudicator_start(std::vector<Guard> const& guards, Guard const& adjudicator, Subject const& subject,
                             Settings const& settings) {
  auto const out = subject.verdicts_of(adjudicator.name);
  JudgeStart start{.program = {.what = "verdicts of " + adjudicator.name + " on " + subject.name,
                               .line = judge_line(adjudicator, settings.adjudicator_args, "REFRAIN_ADJUDICATOR_ARGS"),
                               .outs = {out}},
                   .one_rank = adjudicator.asks_server};
  auto& line = start.program.line;
  add_verdicts(line, deciding(guards, settings), subject);
  line.insert(line.end(), {"--responses", subject.responses().string(), "--out", out.string()});
  return start;
}

/// The start that joins the verdicts on one model's answers and decides. It takes seconds and is done every time, so
/// that a judge more or less counts.
JudgeStart merge_start(std::vector<Guard> const& guards, std::optional<Guard> const& adjudicator,
                       Subject const& subject, Settings const& settings) {
  JudgeStart start{.program = {.what = "final labels of " + subject.name,
                               .line = {program("judge").string(), "--judge", "merge"},
                               .outs = {subject.verdicts()}},
                   .one_rank = true};
  auto& line = start.program.line;
  add_verdicts(line, guards, subject);
  if (adjudicator)
    line.insert(line.end(), {subject.verdicts_of(adjudicator->name).string(), "--adjudicator", adjudicator->name});
  if (!settings.deciders.empty()) line.push_back("--guards");
  line.insert(line.end(), settings.deciders.begin(), settings.deciders.end());
  line.insert(line.end(), {"--out", subject.verdicts().string()});
  return start;
}

}  // namespace

std::vector<JudgeStart> plan_judging(std::vector<Guard> const& guards, std::optional<Guard> const& adjudicator,
                                     std::vector<Subject> const& subjects, Settings const& settings) {
  std::vector<JudgeStart> starts;
  for (auto const& guard : guards) starts.push_back(guard_start(guard, subjects, settings));
  if (adjudicator)
    for (auto const& subject : subjects) starts.push_back(adjudicator_start(guards, *adjudicator, subject, settings));
  for (auto const& subject : subjects) starts.push_back(merge_start(guards, adjudicator, subject, settings));
  return starts;
}

Exit run_judge(Options const& options) {
  install_stop_handlers();
  auto const [settings, job, subjects] = begin_evaluation(options, "judge", {"REFRAIN_GUARDS"});
  auto const guards = read_guards(settings.guards);
  std::optional<Guard> adjudicator;
  if (!settings.adjudicator.empty()) adjudicator = read_adjudicator(settings.adjudicator, guards);
  check_deciders(settings.deciders, guards);
  auto const answered =
      complete_subjects(subjects, &Subject::responses, "sbatch --array=INDEX slurm/generate.sh makes them");
  auto const starts = plan_judging(guards, adjudicator, answered, settings);
  if (!adjudicator) log_warning("REFRAIN_ADJUDICATOR is not set: answers on which guards differ stay undecided");
  if (job.allocation) check_allocation(*job.allocation, 1, job.script);

  auto const launcher = choose_launcher(settings.launcher, job.allocation, 1, program("shard"));
  for (auto const& start : starts) {
    auto const& by = start.one_rank ? Launcher{} : launcher;
    if (options.dry_run) {
      std::cout << by.show(start.program.line) << "\n";
      continue;
    }
    for (auto const& out : start.program.outs) make_folders(out.parent_path());
    if (auto const ended = run_rows(job, by, start.program); ended != Exit::success) return ended;
  }
  return Exit::success;
}

}  // namespace refrain::study

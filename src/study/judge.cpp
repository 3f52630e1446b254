#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/evaluation.hpp>
#include <refrain/study/program_options.hpp>

#include <algorithm>
#include <iostream>
#include <iterator>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// `refrain-judge --judge NAME MODEL...`, with options of the user's where a model is asked.
Words judge_line(Guard const& guard, Words const& args, std::string const& variable) {
  Words line{program("judge").string(), "--judge", guard.judge};
  line.insert(line.end(), guard.model.begin(), guard.model.end());
  if (!guard.asks_model) return line;
  Words const defaults = guard.asks_server ? Words{} : Words{"--tensor-parallel", "1"};
  auto const more = add_args(defaults, args, {variable});
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

/// What judge and adjudicate begin with.
struct Judging {
  Evaluation evaluation;
  std::vector<Guard> guards;
  std::optional<Guard> adjudicator;
  std::vector<Subject> answered;
};

Judging begin_judging(Options const& options, std::string const& command) {
  Judging judging{.evaluation = begin_evaluation(options, command, {"REFRAIN_GUARDS"})};
  auto const& [settings, job, subjects] = judging.evaluation;
  judging.guards = read_guards(settings.guards);
  if (!settings.adjudicator.empty()) judging.adjudicator = read_adjudicator(settings.adjudicator, judging.guards);
  check_deciders(settings.deciders, judging.guards);
  judging.answered =
      complete_subjects(subjects, &Subject::responses, start_line({"generate"}, "INDEX") + " makes them");
  if (!judging.adjudicator && settings.judge.empty())
    log_warning("REFRAIN_ADJUDICATOR is not set: answers on which guards differ stay undecided");
  return judging;
}

/// One after the other, or as lines for --dry-run.
Exit start_all(Options const& options, Judging const& judging, std::vector<JudgeStart> const& starts) {
  auto const& job = judging.evaluation.job;
  if (job.allocation) check_allocation(*job.allocation, 1, job.script);
  auto const launcher = choose_launcher(judging.evaluation.settings.launcher, job.allocation, 1, program("shard"));
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

}  // namespace

std::vector<JudgeStart> plan_guards(std::vector<Guard> const& guards, std::vector<Subject> const& subjects,
                                    Settings const& settings) {
  std::vector<JudgeStart> starts;
  for (auto const& guard : guards) starts.push_back(guard_start(guard, subjects, settings));
  return starts;
}

std::vector<JudgeStart> plan_deciding(std::vector<Guard> const& guards, std::optional<Guard> const& adjudicator,
                                      std::vector<Subject> const& subjects, Settings const& settings) {
  std::vector<JudgeStart> starts;
  if (adjudicator)
    for (auto const& subject : subjects) starts.push_back(adjudicator_start(guards, *adjudicator, subject, settings));
  for (auto const& subject : subjects) starts.push_back(merge_start(guards, adjudicator, subject, settings));
  return starts;
}

Exit run_judge(Options const& options) {
  install_stop_handlers();
  auto const judging = begin_judging(options, "judge");
  auto const& settings = judging.evaluation.settings;
  if (!settings.judge.empty()) {
    auto const found = std::find_if(judging.guards.begin(), judging.guards.end(),
                                    [&](Guard const& guard) { return guard.name == settings.judge; });
    if (found == judging.guards.end())
      throw UsageError("REFRAIN_JUDGE: " + settings.judge + " is no judge of REFRAIN_GUARDS",
                       "name some of: " + names_of(judging.guards));
    return start_all(options, judging, plan_guards({*found}, judging.answered, settings));
  }
  auto starts = plan_guards(judging.guards, judging.answered, settings);
  auto const deciding = plan_deciding(judging.guards, judging.adjudicator, judging.answered, settings);
  starts.insert(starts.end(), deciding.begin(), deciding.end());
  return start_all(options, judging, starts);
}

Exit run_adjudicate(Options const& options) {
  install_stop_handlers();
  auto const judging = begin_judging(options, "adjudicate");
  std::vector<Guard> quick;  // phrases and languages: no model is loaded, and seconds suffice
  for (auto const& guard : judging.guards) {
    if (!guard.asks_model) {
      quick.push_back(guard);
      continue;
    }
    for (auto const& subject : judging.answered)
      if (!fs::exists(subject.verdicts_of(guard.name)))
        throw Error(subject.name + " has no verdicts of " + guard.name + " yet",
                    "REFRAIN_JUDGE=" + guard.name + " " + start_line({"judge"}) + " makes them",
                    {.file = subject.verdicts_of(guard.name)});
  }
  auto starts = plan_guards(quick, judging.answered, judging.evaluation.settings);
  auto const deciding =
      plan_deciding(judging.guards, judging.adjudicator, judging.answered, judging.evaluation.settings);
  starts.insert(starts.end(), deciding.begin(), deciding.end());
  return start_all(options, judging, starts);
}

}  // namespace refrain::study

#include <refrain/base/error.hpp>
#include <refrain/base/log.hpp>
#include <refrain/study/configuration.hpp>
#include <refrain/study/slurm.hpp>
#include <refrain/study/subjects.hpp>
#include <refrain/study/sweep.hpp>

#include <set>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// Why a member has no final model to ask, and what is to be done. @pre it has not finished
Error untrained(Subject const& subject) {
  RunFolder const run(subject.folder);
  auto const state = run.state();
  Place const place{.file = subject.folder};
  if (state.empty()) return Error(subject.name + " has not been trained", subject.training, place);
  if (state == "failed")
    return Error("training of " + subject.name + " has failed: " + run.error(),
                 subject.training + " goes on from its last checkpoint", place);
  if (run.pruned())
    return Error("the weights of " + subject.name + " were dropped after training",
                 "remove the folder, then " + subject.training + " trains it again", place);
  if (state == "finished") return Error(subject.name + " has no final/ any more", subject.training, place);
  return Error("training of " + subject.name + " has not finished: it is at " + run.advance().text(),
               (in_job() ? "wait for its job (--dependency=afterok:JOB)" : std::string("wait until it has ended")) +
                   ", or go on with " + subject.training,
               place);
}

/// Whether a model will never be there unless somebody trains it again: the others go on without it.
bool given_up(Subject const& subject) {
  RunFolder const run(subject.folder);
  auto const state = run.state();
  return !subject.is_base() && (state.empty() || state == "failed" || run.pruned());
}

}  // namespace

std::vector<Subject> list_subjects(Settings const& settings) {
  auto const members = read_sweep(find_sweep(settings.sweep));
  if (settings.studies.empty())
    throw UsageError("REFRAIN_STUDY names no study", "set it to training configurations, such as dpo_8b_balanced");
  std::vector<Subject> subjects;
  std::set<std::string> seen;
  for (auto const& name : settings.studies) {
    auto const study = find_configuration(name);
    if (!seen.insert(name).second) throw UsageError("the study " + name + " is named twice", "name each study once");
    for (std::size_t i = 0; i < members.size(); ++i)
      subjects.push_back({.name = name + "/" + members[i].folder(),
                          .folder = settings.runs / name / members[i].folder(),
                          .index = static_cast<int64_t>(subjects.size()),
                          .tensor_parallel = settings.tensor_parallel.value_or(study.tensor_parallel),
                          .split = settings.split,
                          .training = start_line({"member", name}, std::to_string(i))});
  }
  // Shared by all studies that begin from this model.
  auto const model = settings.model.has_filename() ? settings.model : settings.model.parent_path();
  subjects.push_back({.name = "base",
                      .folder = settings.runs / "base" / model.filename(),
                      .index = static_cast<int64_t>(subjects.size()),
                      .tensor_parallel = subjects.front().tensor_parallel,
                      .split = settings.split,
                      .training = {}});
  return subjects;
}

Subject const& subject_at(std::vector<Subject> const& subjects, int64_t index) {
  auto const last = static_cast<int64_t>(subjects.size()) - 1;
  if (index <= last) return subjects[static_cast<std::size_t>(index)];
  throw UsageError("there is no model " + std::to_string(index) + ": members are 0 to " + std::to_string(last - 1) +
                       ", and " + std::to_string(last) + " is the model before training",
                   start_line_up_to({"generate"}, last));
}

Words model_options(Subject const& subject, Settings const& settings) {
  if (subject.is_base()) return {"--checkpoint", settings.model.string()};
  if (!RunFolder(subject.folder).finished()) throw untrained(subject);
  auto const final_folder = subject.folder / "final";
  if (fs::exists(final_folder / "adapter_config.json"))
    return {"--checkpoint", settings.model.string(), "--adapter", final_folder.string()};
  return {"--checkpoint", final_folder.string()};
}

std::vector<Subject> complete_subjects(std::vector<Subject> const& subjects, fs::path (Subject::*wanted)() const,
                                       std::string const& remedy) {
  std::vector<Subject> complete;
  for (auto const& subject : subjects) {
    auto const file = (subject.*wanted)();
    if (fs::exists(file)) {
      complete.push_back(subject);
    } else if (given_up(subject)) {
      log_warning("left out: " + std::string(untrained(subject).what()));
    } else if (!subject.is_base() && !RunFolder(subject.folder).finished()) {
      throw untrained(subject);
    } else {
      auto what = remedy;
      if (auto const at = what.find("INDEX"); at != std::string::npos)
        what.replace(at, 5, std::to_string(subject.index));
      throw Error(subject.name + " has no " + file.filename().string() + " yet", what, {.file = subject.folder});
    }
  }
  if (complete.empty() || (complete.size() == 1 && complete.front().is_base()))
    throw Error("no member of these studies has been trained", subjects.front().training,
                {.file = subjects.front().folder});
  return complete;
}

}  // namespace refrain::study

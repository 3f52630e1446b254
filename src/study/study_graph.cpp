#include <refrain/base/digest.hpp>
#include <refrain/base/files.hpp>
#include <refrain/study/configuration.hpp>
#include <refrain/study/disk.hpp>
#include <refrain/study/made_checks.hpp>
#include <refrain/study/pairs.hpp>
#include <refrain/study/prompts.hpp>
#include <refrain/study/study_graph.hpp>
#include <refrain/study/sweep.hpp>

#include <algorithm>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// Whether all of these files are there.
bool all_there(std::vector<fs::path> const& files) {
  return std::all_of(files.begin(), files.end(), [](fs::path const& file) { return fs::exists(file); });
}

/// Whether all of `made` are there and none is older than what it was made from. For programs alone that write their
/// file anew each time: the others keep a file that is complete.
bool newer(std::vector<fs::path> const& made, std::vector<fs::path> const& from) {
  if (!all_there(made) || !all_there(from)) return false;
  return std::all_of(made.begin(), made.end(), [&](fs::path const& file) {
    return std::all_of(from.begin(), from.end(), [&](fs::path const& source) {
      return fs::last_write_time(file) >= fs::last_write_time(source);
    });
  });
}

/// Trained, even if its weights were dropped once it had answered.
bool is_trained(Subject const& subject) {
  RunFolder const run(subject.folder);
  return run.finished() || (run.pruned() && fs::exists(subject.responses()));
}

/// A job of `stage`, without parts, that is told a model's variables.
StudyJob job_without_parts(Study const& study, StudyModel const& model, Stage stage, std::string const& name,
                           std::vector<std::string> needs, std::string const& script) {
  StudyJob job{.name = name, .stage = stage, .needs = std::move(needs), .parts = {}, .call = {}};
  job.call = {.script = data_file("slurm/" + script + ".sh"),
              .array = {},
              .dependencies = {},
              .job_name = queue_name(study, name),
              .options = {},
              .variables = model.variables_of(stage),
              .folder = log_folder(study)};
  if (auto const found = model.sbatch.find(stage); found != model.sbatch.end()) job.call.options = found->second;
  return job;
}

fs::path report_folder(Study const& study, StudyModel const& model) { return study.folder / "report" / model.size; }

/// Checks the verdicts that adjudicate makes itself: of the judges that ask no model, and the adjudicator's.
void check_deciding(std::string const& job, StudyModel const& model) {
  auto const& settings = model.settings;
  std::vector<Guard> quick;
  for (auto const& guard : model.guards)
    if (!guard.asks_model) quick.push_back(guard);
  auto starts = plan_guards(quick, model.subjects, settings);
  if (!settings.adjudicator.empty()) {
    auto const asked =
        plan_deciding(model.guards, read_adjudicator(settings.adjudicator, model.guards), model.subjects, settings);
    starts.insert(starts.end(), asked.begin(), asked.end());
  }
  for (auto const& start : starts) check_verdicts(job, start.program);
}

/// Makes the jobs of one model.
class ModelGraph {
public:
  ModelGraph(Study const& study, StudyModel const& model)
      : study_(study), model_(model), sweep_(read_sweep(find_sweep(model.settings.sweep))), members_(model.members()) {
    auto const& settings = model.settings;
    // What a member writes depends on method and size, which all configurations of a model share.
    if (auto const limit = disk_limit(settings, find_configuration(settings.studies.front()), sweep_))
      member_bytes_ = limit->each;
    add_shard();
    for (std::size_t i = 0; i < model.pairs.size(); ++i) add_training(i);
    add_base();
    for (auto const& guard : model.guards)
      if (guard.asks_model) add_guard(guard);
    add_adjudicate();
    add_report();
  }

  std::vector<StudyJob> take() { return std::move(jobs_); }

private:
  Subject const& base() const { return model_.subjects.back(); }
  std::string name(std::string const& rest) const { return model_.size + "/" + rest; }

  /// A job of `stage` over these configurations, without parts.
  StudyJob& add(Stage stage, std::string const& rest, std::vector<std::string> needs, Words const& studies) {
    auto const script = stage == Stage::train ? studies.front() : stage_name(stage);
    auto job = job_without_parts(study_, model_, stage, name(rest), std::move(needs), script);
    if (stage != Stage::train) job.call.variables["REFRAIN_STUDY"] = join_words(studies);
    jobs_.push_back(std::move(job));
    return jobs_.back();
  }

  void add_shard() {
    std::vector<SharedFile> files;
    auto const& settings = model_.settings;
    for (auto const& study : settings.studies) {
      auto const folder = study_.folder / study;
      files.push_back(pairs_file(shard_line(program("shard"), find_configuration(study), settings, folder / "pairs.h5"),
                                 settings, folder));
    }
    if (!is_sharded(settings.prompts)) files.push_back(prompts_file(find_prompts(settings, base()), settings));
    auto& job = add(Stage::shard, "shard", {}, settings.studies);
    job.parts.push_back({.index = {}, .work = study_.folder, .made = [files] {
                           return std::all_of(files.begin(), files.end(), [](SharedFile const& file) {
                             return fs::exists(file.path) && !was_made_from_others(file);
                           });
                         }});
  }

  /// Training of one configuration's sweep, and the answers of its members.
  void add_training(std::size_t number) {
    auto const& pairs = model_.pairs[number];
    auto const& settings = model_.settings;
    auto const configuration = find_configuration(settings.studies[number]);
    Words const studies{model_.settings.studies[number]};
    add(Stage::train, "train/" + pairs, {name("shard")}, studies).bytes = member_bytes_;
    add(Stage::generate, "generate/" + pairs, {name("train/" + pairs)}, studies);
    auto& answers = jobs_.back();
    auto& training = jobs_[jobs_.size() - 2];
    for (std::size_t i = 0; i < members_; ++i) {
      auto const& subject = model_.subjects[number * members_ + i];
      auto const index = static_cast<int64_t>(i);
      training.parts.push_back(
          {.index = index,
           .work = subject.folder,
           .made = [subject] { return is_trained(subject); },
           .check = [=, name = training.name,
                     member = sweep_[i]] { check_training(name, subject, configuration, member, settings); }});
      answers.parts.push_back(
          {.index = index,
           .work = subject.folder,
           .made = [subject] { return fs::exists(subject.responses()); },
           .check = [=, name = answers.name, base = base()] { check_answers(name, subject, base, settings); }});
    }
    answered_.push_back(answers.name);
  }

  /// Answers of the model before training: behind the last member in the array of any configuration.
  void add_base() {
    auto const responses = base().responses();
    auto& job = add(Stage::generate, "generate/base", {name("shard")}, {model_.settings.studies.front()});
    job.parts.push_back({.index = static_cast<int64_t>(members_),
                         .work = base().folder,
                         .made = [responses] { return fs::exists(responses); },
                         .check = [name = job.name, base = base(),
                                   settings = model_.settings] { check_answers(name, base, base, settings); }});
    answered_.push_back(job.name);
  }

  void add_guard(Guard const& guard) {
    std::vector<fs::path> files;
    for (auto const& subject : model_.subjects) files.push_back(subject.verdicts_of(guard.name));
    auto& job = add(Stage::judge, "judge/" + guard.name, answered_, model_.settings.studies);
    job.call.variables["REFRAIN_JUDGE"] = guard.name;
    job.parts.push_back({.index = {},
                         .work = study_.folder,
                         .made = [files] { return all_there(files); },
                         .check =
                             [this_job = job.name, guard, model = model_] {
                               for (auto const& start : plan_guards({guard}, model.subjects, model.settings))
                                 check_verdicts(this_job, start.program);
                             }});
    judged_.push_back(job.name);
  }

  void add_adjudicate() {
    std::vector<fs::path> verdicts, from;
    for (auto const& subject : model_.subjects) {
      verdicts.push_back(subject.verdicts());
      for (auto const& guard : model_.guards) from.push_back(subject.verdicts_of(guard.name));
    }
    auto& job = add(Stage::adjudicate, "adjudicate", judged_, model_.settings.studies);
    job.parts.push_back({.index = {},
                         .work = study_.folder,
                         .made = [verdicts, from] { return newer(verdicts, from); },
                         .check = [name = job.name, model = model_] { check_deciding(name, model); }});
  }

  void add_report() {
    std::vector<fs::path> verdicts;
    for (auto const& subject : model_.subjects) verdicts.push_back(subject.verdicts());
    auto const folder = report_folder(study_, model_);
    auto& job = add(Stage::report, "report", {name("adjudicate")}, model_.settings.studies);
    auto words = model_.settings.report_args;
    words.insert(words.end(), {"--out", folder.string()});
    job.call.variables["REFRAIN_REPORT_ARGS"] = join_words(words);
    job.parts.push_back({.index = {}, .work = folder, .made = [folder, verdicts] {
                           return newer({folder / "report.html"}, verdicts);
                         }});
  }

  Study const& study_;
  StudyModel const& model_;
  std::vector<SweepMember> sweep_;
  std::size_t members_;      ///< of the sweep
  double member_bytes_ = 0;  ///< that one of them writes at most; 0 where nothing limits it
  std::vector<StudyJob> jobs_;
  std::vector<std::string> answered_, judged_;
};

}  // namespace

std::vector<StudyJob> make_graph(Study const& study) {
  std::vector<StudyJob> jobs;
  std::vector<std::string> reports;
  std::vector<fs::path> pages;
  for (auto const& model : study.models) {
    for (auto& job : ModelGraph(study, model).take()) jobs.push_back(std::move(job));
    reports.push_back(jobs.back().name);
    pages.push_back(report_folder(study, model) / "report.html");
  }
  auto const& first = study.models.front();
  auto archive = job_without_parts(study, first, Stage::archive, "archive", reports, "archive");
  Words names;
  for (auto const& page : pages) names.push_back(page.string());
  archive.call.variables["REFRAIN_REPORTS"] = join_words(names);
  auto const file = archive_file(study);
  archive.parts.push_back({.index = {}, .work = file, .made = [file, pages] { return newer({file}, pages); }});
  jobs.push_back(std::move(archive));
  return jobs;
}

std::string queue_name(Study const& study, std::string const& job) {
  auto const tag = sha256(study.folder.string()).substr(0, 4);
  std::string dotted = study.name + "-" + tag + "." + job;
  std::replace(dotted.begin(), dotted.end(), '/', '.');
  return dotted;
}

fs::path log_folder(Study const& study) { return study.folder / "logs"; }

fs::path archive_file(Study const& study) { return study.folder.string() + ".h5"; }

}  // namespace refrain::study

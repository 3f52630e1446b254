#include <refrain/judge/job.hpp>

#include "answer_rows.hpp"
#include "judge.hpp"
#include "merge_files.hpp"
#include "summary.hpp"
#include "verdict_files.hpp"
#include "verdicts_under_way.hpp"

#include <refrain/base/counted.hpp>
#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/log.hpp>
#include <refrain/h5/reader.hpp>
#include <refrain/judge/decision.hpp>

#include <algorithm>

namespace refrain::judge {
namespace {

namespace fs = std::filesystem;

int64_t failed(std::vector<std::optional<RawVerdict>> const& said) {
  return std::count_if(said.begin(), said.end(), [](auto const& one) { return one && !one->failure.empty(); });
}

/// A judge asked about answers.
class Judging {
public:
  Judging(Options const& options, comm::Communicator const& world)
      : options_(options), world_(world), definition_(Definition::load(options.judge)) {}

  Exit go();

private:
  void read_inputs();
  void open_files();
  std::vector<int64_t> share() const;
  bool is_asked(int64_t row) const { return asked_rows_[static_cast<std::size_t>(row)]; }
  AskOutcome ask();
  void tell_stopped() const;
  void write(VerdictsUnderWay& file, std::size_t at);

  Options const& options_;
  comm::Communicator const& world_;
  Definition definition_;
  std::optional<Items> items_;
  std::optional<h5::Verdicts> others_;  // of --verdicts
  std::vector<bool> asked_rows_;
  Deciders deciders_;
  std::unique_ptr<Judge> judge_;
  std::vector<VerdictsUnderWay> files_;
};

void Judging::read_inputs() {
  comm::agree(world_, [&] {
    items_.emplace(options_.responses);
    asked_rows_.assign(static_cast<std::size_t>(items_->rows()), !options_.adjudicates());
    if (!options_.adjudicates()) return;
    std::vector<VerdictsOf> files{
        {.path = options_.responses.front(), .responses = items_->digest(0), .rows = rows_of(items_->file(0))}};
    for (auto const& path : options_.verdicts) files.push_back(read_file(path));
    others_ = merge(files);
    if (others_->judges.contains(definition_.name))
      throw UsageError("--verdicts have verdicts of " + definition_.name + " already",
                       "name the guards' files alone, or join the files by --judge merge");
    deciders_ = {.guards = choose_guards(*others_, options_.guards, definition_.name), .adjudicator = definition_.name};
    for (std::size_t const row : rows_that_differ(*others_, deciders_)) asked_rows_.at(row) = true;
  });
  JudgeInputs const inputs{options_, definition_, *items_, world_};
  judge_ = options_.has_checkpoint() ? checkpoint_judge(inputs)
           : definition_.question    ? server_judge(inputs)
                                     : pattern_judge(inputs);
}

void Judging::open_files() {
  for (int64_t file = 0; file < items_->files(); ++file) {
    Json identity{{"definition", sha256_file(definition_.path)}, {"responses", items_->digest(file)}};
    for (auto const& path : options_.verdicts) identity["verdicts"].push_back(sha256_file(path));
    if (options_.adjudicates()) identity["guards"] = deciders_.guards;
    identity.update(judge_->identity());
    files_.emplace_back(options_.out[static_cast<std::size_t>(file)], std::move(identity), items_->rows());
    files_.back().open(world_);
    VerdictsUnderWay const& opened = files_.back();
    if (opened.complete())
      log_line("every verdict is in " + opened.out().string() + " already");
    else if (opened.count() > 0)
      log_line(std::to_string(opened.count()) + " of " + std::to_string(items_->rows()) + " verdicts of " +
               opened.out().string() + " are there already");
  }
}

// By rows, so that answers to one prompt meet on one rank, which then has that prompt's part of the request already.
std::vector<int64_t> Judging::share() const {
  std::vector<int64_t> items;
  int64_t open_rows = 0;
  for (int64_t row = 0; row < items_->rows(); ++row) {
    auto const is_open = [&](VerdictsUnderWay const& file) { return !file.has(row); };
    if (!is_asked(row) || std::none_of(files_.begin(), files_.end(), is_open)) continue;
    if (open_rows++ % judge_->group().size() != judge_->group().rank()) continue;
    for (int64_t file = 0; file < items_->files(); ++file)
      if (is_open(files_[static_cast<std::size_t>(file)])) items.push_back(items_->number(file, row));
  }
  return items;
}

AskOutcome Judging::ask() {
  std::vector<int64_t> const items = share();
  if (world_.max(static_cast<int64_t>(items.size())) == 0) return AskOutcome::all;
  Recorder recorder(files_, judge_->group().rank(), judge_->keeps(), static_cast<int64_t>(items.size()));
  AskOutcome asked = AskOutcome::all;
  try {
    asked = judge_->ask(items, recorder);
  } catch (...) {
    recorder.commit_after_failure();
    throw;
  }
  comm::agree(world_, [&] { recorder.commit(); });
  if (int64_t const failures = world_.sum(recorder.failures()); failures > 0) {
    auto const reasons = world_.all_gather(recorder.first_failure());
    auto const first = std::find_if(reasons.begin(), reasons.end(), [](auto const& reason) { return !reason.empty(); });
    log_warning("requests that failed and count as unparsed: " + std::to_string(failures) + "; the first: " + *first);
  }
  return asked;
}

void Judging::tell_stopped() const {
  comm::agree(world_, [&] {
    if (world_.rank() != 0) return;
    bool const any = std::any_of(files_.begin(), files_.end(), [](auto const& file) { return file.any_kept(); });
    log_line(any ? "stopped; what is judged is kept, and the same command goes on from there"
                 : "stopped before anything was judged; the same command begins again");
  });
}

void Judging::write(VerdictsUnderWay& file, std::size_t at) {
  file.parts().require_taken();
  auto const said = file.said();
  for (int64_t row = 0; row < items_->rows(); ++row)
    if (is_asked(row) && !said[static_cast<std::size_t>(row)])
      throw Error("the verdict on row " + std::to_string(row) + " is missing", "start again: only it is made",
                  {.file = file.parts().folder()});
  fs::path const& responses = options_.responses[at];
  h5::Responses const& rows = items_->file(static_cast<int64_t>(at));
  h5::Verdicts verdicts = others_ ? *others_ : rows_of(rows);
  verdicts.judges[definition_.name] = judgements(definition_, said, rows);
  if (others_) set_decisions(verdicts, deciders_);
  Provenance provenance("refrain-judge", options_.record);
  provenance.add_input(responses);
  for (auto const& path : options_.verdicts) provenance.add_input(path);
  for (auto const& path : judge_->inputs()) provenance.add_input(path);
  provenance.set("identity", file.identity());
  Json about = judge_->record();
  about["definition"] = file.identity().at("definition");
  about.update(judge_->identity());
  about["failed_requests"] = failed(said);
  if (!definition_.made_for.empty()) about["made_for"] = definition_.made_for;
  provenance.set("judges", {{definition_.name, about}});
  provenance.set("responses_sha256", items_->digest(static_cast<int64_t>(at)));
  provenance.set("responses", h5::Reader(responses, "responses.v1").provenance());
  inherit(provenance, options_.verdicts);
  write_verdicts(file.out(), verdicts, provenance.json());
  file.remove_parts();
  log_line(counted(items_->rows(), "answer") + " in " + file.out().string() + ": " +
           (others_ ? summary_of_decisions(verdicts) : summary(verdicts, definition_.name)));
}

Exit Judging::go() {
  read_inputs();
  open_files();
  if (std::all_of(files_.begin(), files_.end(), [](auto const& file) { return file.complete(); })) return Exit::success;
  switch (ask()) {
    case AskOutcome::all: break;
    case AskOutcome::later:
      log_line("give their results to the same command, with --batch-in in place of --batch-out");
      return Exit::success;
    case AskOutcome::stopped: tell_stopped(); return Exit::stopped_early;
    case AskOutcome::missing:
      throw comm::AgreedError("some requests have no result yet; those that have one are kept",
                              "give --batch-in the results of the rest, or write their requests by --batch-out", {},
                              Exit::failure, world_.size());
  }
  world_.barrier();  // no rank has signs of life in the folders any more, which go now
  comm::agree(world_, [&] {
    for (std::size_t i = 0; i < files_.size(); ++i)
      if (world_.rank() == 0 && !files_[i].complete()) write(files_[i], i);
  });
  return Exit::success;
}

}  // namespace

Exit run(Options const& options, comm::Communicator const& world) {
  if (!options.merges()) return Judging(options, world).go();
  comm::agree(world, [&] {
    if (world.rank() == 0) merge_files(options);
  });
  return Exit::success;
}

}  // namespace refrain::judge

#include "verdicts_under_way.hpp"

#include <refrain/base/error.hpp>
#include <refrain/h5/reader.hpp>

#include <algorithm>

namespace refrain::judge {
namespace {

constexpr int64_t items_a_commit = 64;

bool is_verdict(std::optional<RawVerdict> const& said) { return said && said->failure.empty(); }

}  // namespace

VerdictsUnderWay::VerdictsUnderWay(std::filesystem::path out, Json identity, int64_t rows)
    : out_(std::move(out)), identity_(std::move(identity)), parts_(out_), judged_(static_cast<std::size_t>(rows)) {}

void VerdictsUnderWay::open_here() {
  if (std::filesystem::exists(out_)) {
    Json const provenance = h5::Reader(out_, "verdicts.v1").provenance();
    if (provenance.value("identity", Json()) != identity_)
      throw UsageError("--out holds verdicts on other answers or with other settings",
                       "name another file, or remove it", {.file = out_});
    complete_ = true;
    if (!parts_.exists()) return;
    parts_.take();  // left by a start that ended just behind the file's rename
    parts_.remove();
    return;
  }
  parts_.take();
  std::vector<std::optional<RawVerdict>> const kept = said();
  for (std::size_t row = 0; row < kept.size(); ++row) judged_[row] = is_verdict(kept[row]);
  // A start that was told nothing binds nobody to its settings.
  if (count() > 0 && parts_.settings() != identity_)
    throw UsageError("the verdicts kept here were made from other input or with other settings",
                     "give the same ones to go on, or remove the folder", {.file = parts_.folder()});
  parts_.write_settings(identity_);
}

void VerdictsUnderWay::open(comm::Communicator const& world) {
  comm::agree(world, [&] {
    if (world.rank() == 0) open_here();
  });
  complete_ = world.max(int64_t{complete_}) == 1;
  std::string text(judged_.size(), '0');
  for (std::size_t i = 0; i < judged_.size(); ++i) text[i] = judged_[i] ? '1' : '0';
  text = world.broadcast(text, 0);
  for (std::size_t i = 0; i < judged_.size(); ++i) judged_[i] = text[i] == '1';
}

int64_t VerdictsUnderWay::count() const { return std::count(judged_.begin(), judged_.end(), true); }

bool VerdictsUnderWay::any_kept() const {
  if (complete_) return true;
  auto const kept = said();
  return std::any_of(kept.begin(), kept.end(), is_verdict);
}

std::vector<std::optional<RawVerdict>> VerdictsUnderWay::said() const {
  std::vector<std::optional<RawVerdict>> all(judged_.size());
  parts_.read([&](Json const& record) {
    auto [row, verdict] = read_record(record, parts_.folder());
    if (row < 0 || row >= static_cast<int64_t>(all.size()))
      throw Error("a verdict is kept on row " + std::to_string(row) + " of " + std::to_string(all.size()),
                  "remove the folder", {.file = parts_.folder()});
    auto& place = all[static_cast<std::size_t>(row)];
    // A verdict stays, a failure gives way to what comes later.
    if (!place || !place->failure.empty()) place = std::move(verdict);
  });
  return all;
}

Recorder::Recorder(std::vector<VerdictsUnderWay> const& files, int rank, bool keeps, int64_t items)
    : files_(files), rank_(rank), keeps_(keeps), progress_("verdicts", items, "answers") {}

std::filesystem::path const& Recorder::folder() const {
  return std::find_if(files_.begin(), files_.end(), [](auto const& file) { return !file.complete(); })
      ->parts()
      .folder();
}

void Recorder::add(int64_t item, RawVerdict const& verdict) {
  if (!keeps_) return;
  auto const files = static_cast<int64_t>(files_.size());
  int64_t const file = item % files;
  auto journal = journals_.find(file);
  if (journal == journals_.end()) {
    JournalWriter writer = files_[static_cast<std::size_t>(file)].parts().writer(rank_);
    journal = journals_.emplace(file, BatchedJournal(std::move(writer), items_a_commit)).first;
  }
  journal->second.add(record_of(item / files, verdict));
  if (!verdict.failure.empty() && failures_++ == 0) first_failure_ = verdict.failure;
  progress_.advance(++count_);
}

void Recorder::tick() {
  for (auto& [file, journal] : journals_) journal.tick();
}

void Recorder::commit() {
  for (auto& [file, journal] : journals_) journal.commit();
}

void Recorder::commit_after_failure() noexcept {
  for (auto& [file, journal] : journals_) journal.commit_after_failure();
}

bool Recorder::told_before() const {
  return std::any_of(files_.begin(), files_.end(), [](auto const& file) { return file.count() > 0; });
}

}  // namespace refrain::judge

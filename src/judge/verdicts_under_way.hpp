#pragma once

#include "raw_verdict.hpp"

#include <refrain/base/log.hpp>
#include <refrain/base/parts.hpp>
#include <refrain/comm/communicator.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <vector>

namespace refrain::judge {

/// One file of verdicts that is being made: which rows are judged already, kept in OUT.parts until all are.
class VerdictsUnderWay {
public:
  /// `identity`: what its verdicts depend on.
  VerdictsUnderWay(std::filesystem::path out, Json identity, int64_t rows);

  /// Finds what is there: the whole file, or what an earlier start kept. @throws the same Error on every rank: somebody
  /// else is at it, or it was made from other input. @collective
  void open(comm::Communicator const& world);
  bool complete() const noexcept { return complete_; }
  bool has(int64_t row) const { return complete_ || judged_[static_cast<std::size_t>(row)]; }
  int64_t count() const;  ///< of rows that were judged when this was opened
  /// Whether there is any verdict, with those that have come since. @throws Error as `said`. @pre open
  bool any_kept() const;

  Parts const& parts() const noexcept { return parts_; }
  std::filesystem::path const& out() const noexcept { return out_; }
  Json const& identity() const noexcept { return identity_; }
  /// What was said, by row, from the journals of all ranks: a request that failed is none that was judged, and is made
  /// again by the next start. @throws Error for a record that does not belong here. @pre not complete
  std::vector<std::optional<RawVerdict>> said() const;
  /// Removes the journals, once the file is written.
  void remove_parts() { parts_.remove(); }

private:
  void open_here();

  std::filesystem::path out_;
  Json identity_;
  Parts parts_;
  bool complete_ = false;
  std::vector<bool> judged_;
};

/// Where a rank puts what it is told: journals of the files that items belong to, synced now and then; and progress.
class Recorder {
public:
  /// `files`: of the items' numbers row x files + file; they must outlive it. `items`: how many the rank asks about.
  /// `keeps`: false where another rank keeps the same.
  Recorder(std::vector<VerdictsUnderWay> const& files, int rank, bool keeps, int64_t items);

  void add(int64_t item, RawVerdict const& verdict);  ///< @throws Error
  /// Commits what has waited for a second; to be called often. @throws Error
  void tick();
  void commit();  ///< @throws Error
  /// For catch clauses: what fails here is told to nobody.
  void commit_after_failure() noexcept;
  /// Whether an earlier start was told a verdict.
  bool told_before() const;
  /// A folder that all ranks see, for signs of life.
  std::filesystem::path const& folder() const;

  int64_t failures() const noexcept { return failures_; }
  std::string const& first_failure() const noexcept { return first_failure_; }

private:
  std::vector<VerdictsUnderWay> const& files_;
  int rank_;
  bool keeps_;
  Progress progress_;
  std::map<int64_t, BatchedJournal> journals_;  // by file
  int64_t count_ = 0, failures_ = 0;
  std::string first_failure_;
};

}  // namespace refrain::judge

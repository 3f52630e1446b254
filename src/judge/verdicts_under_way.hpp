#pragma once

#include "said.hpp"

#include <refrain/base/parts.hpp>
#include <refrain/comm/communicator.hpp>

#include <chrono>
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
  int64_t count() const;  ///< of rows that are judged

  Parts const& parts() const noexcept { return parts_; }
  std::filesystem::path const& out() const noexcept { return out_; }
  Json const& identity() const noexcept { return identity_; }
  /// What was said, by row, from the journals of all ranks. @pre not complete
  std::vector<std::optional<Said>> said() const;
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

/// Where a rank puts what it is told: journals of the files that items belong to, synced now and then.
class Recorder {
public:
  /// `files`: of the items' numbers row x files + file. They must outlive it.
  Recorder(std::vector<VerdictsUnderWay> const& files, int rank);
  void add(int64_t item, Said const& said);
  void commit();  ///< @throws Error

  int64_t count() const noexcept { return count_; }
  int64_t failures() const noexcept { return failures_; }
  std::string const& first_failure() const noexcept { return first_failure_; }

private:
  std::vector<VerdictsUnderWay> const& files_;
  int rank_;
  std::map<int64_t, JournalWriter> journals_;  // by file
  std::chrono::steady_clock::time_point committed_ = std::chrono::steady_clock::now();
  int64_t count_ = 0, pending_ = 0, failures_ = 0;
  std::string first_failure_;
};

}  // namespace refrain::judge

#pragma once

#include "asked.hpp"

#include <refrain/base/parts.hpp>
#include <refrain/h5/responses_file.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace refrain::generate {

/// An answer, or why there is none.
struct Finished {
  std::vector<int32_t> tokens;  ///< generated; none where a server gave text only
  std::string text;
  h5::Finish finish = h5::Finish::error;
  std::string error = {};  ///< one line; where `finish` is error
  std::string model = {};  ///< as the server that answered names it, or empty

  bool failed() const noexcept { return finish == h5::Finish::error; }
};

/// Keeps the answers of one rank as they come. What is committed survives a crash; at most `answers_a_commit` answers,
/// and what came within the last second, are not.
class AnswerJournal {
public:
  /// A new file among `parts`. `asked` must outlive it. @throws Error
  AnswerJournal(Parts const& parts, int rank, Asked const& asked);

  /// @throws Error if the disk is full and the like
  void add(int64_t answer, Finished const& finished);
  /// Commits what waits longer than a second; to be called often. @throws Error
  void tick();
  void commit();

private:
  Asked const& asked_;
  JournalWriter file_;
  int64_t pending_ = 0;
  std::chrono::steady_clock::time_point oldest_{};  // of what is pending
};

/// Hands every answer that the journals hold to `visit`, oldest first within a rank. @throws Error
void read_answers(Parts const& parts, std::function<void(AnswerKey const&, Finished)> const& visit);

}  // namespace refrain::generate

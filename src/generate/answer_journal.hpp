#pragma once

#include "asked.hpp"

#include <refrain/base/parts.hpp>
#include <refrain/h5/responses_file.hpp>

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

/// Keeps the answers of one rank as they come.
class AnswerJournal {
public:
  /// A new file among `parts`. `asked` must outlive it. @throws Error
  AnswerJournal(Parts const& parts, int rank, Asked const& asked);

  /// @throws Error if the disk is full and the like
  void add(int64_t answer, Finished const& finished);
  void tick() { file_.tick(); }      ///< as BatchedJournal
  void commit() { file_.commit(); }  ///< @throws Error
  void commit_after_failure() noexcept { file_.commit_after_failure(); }

private:
  Asked const& asked_;
  BatchedJournal file_;
};

/// Hands every answer that the journals hold to `visit`, oldest first within a rank. @throws Error
void read_answers(Parts const& parts, std::function<void(AnswerKey const&, Finished)> const& visit);

}  // namespace refrain::generate

#pragma once

#include <refrain/study/queue.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace refrain::study {

/// An array of members that was submitted.
struct Submission {
  std::string job;                         ///< the array's id
  std::string name;                        ///< in the queue; empty where an older record does not say it
  std::string sweep;                       ///< the table
  std::string line;                        ///< as it was submitted
  std::map<int64_t, std::string> members;  ///< run folder's name by array index
};

/// Which arrays were submitted for a configuration, by `submit` or as part of a study: submissions.json among its run
/// folders. An index alone does not say which member it means, since sweeps of one configuration share the script and
/// its name.
class Submissions {
public:
  Submissions() = default;  ///< none
  /// @param folder that of the configuration under REFRAIN_RUNS, which need not be there
  /// @throws Error for a damaged file
  explicit Submissions(std::filesystem::path const& folder);

  /// Appends one. @pre nobody else does: `folder`/submit.lock is held @throws Error
  void add(Submission const& submission);

  /// The job of `queue` that is on record for the member of this run folder, or one with name and index of such a job,
  /// which was submitted again where requeue is refused; null if there is none.
  QueuedJob const* recorded(std::string const& folder, Queue const& queue) const;

  /// The id of that job, or of one of this name and index that is not on record, one submitted by hand, which is taken
  /// for the member's; empty if there is none.
  std::string job_of(std::string const& name, int64_t index, std::string const& folder, Queue const& queue) const;

private:
  Submission const* find(QueuedJob const& job) const;

  std::filesystem::path file_;
  std::vector<Submission> all_;
};

}  // namespace refrain::study

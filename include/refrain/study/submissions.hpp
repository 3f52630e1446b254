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
  std::string sweep;                       ///< the table
  std::string line;                        ///< as it was submitted
  std::map<int64_t, std::string> members;  ///< run folder's name by array index
};

/// Which arrays were submitted for a configuration: submissions.json among its run folders. An index alone does not say
/// which member it means, since sweeps of one configuration share the script and its name.
class Submissions {
public:
  /// @param folder that of the configuration under REFRAIN_RUNS, which need not be there
  explicit Submissions(std::filesystem::path const& folder);

  /// Appends one. @throws Error
  void add(Submission const& submission);

  /// The job of `queue` that trains the member of this index and run folder; empty if none does. A job of this name and
  /// index that is not on record, one submitted by hand or again where requeue is refused, is taken for the member's.
  std::string job_of(std::string const& name, int64_t index, std::string const& folder, Queue const& queue) const;

private:
  std::filesystem::path file_;
  std::vector<Submission> all_;
};

}  // namespace refrain::study

#pragma once

#include <map>
#include <string>

namespace refrain::study {

/// The jobs of this user that Slurm knows of now.
class Queue {
public:
  /// Nothing is known: no Slurm here, or it does not answer.
  Queue() = default;
  /// From the lines of `squeue --array --format=%i|%A|%T`.
  explicit Queue(std::string const& listing);

  /// Asks squeue where there is one, for ten seconds at most; a warning where it does not answer.
  static Queue ask();

  /// PENDING, RUNNING and so on, for ARRAY_INDEX or the job's own number; empty where it is not in the queue.
  std::string state(std::string const& job) const;

private:
  std::map<std::string, std::string> states_;
};

}  // namespace refrain::study

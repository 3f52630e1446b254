#pragma once

#include <map>
#include <string>

namespace refrain::study {

/// The jobs of this user that Slurm knows of now.
class Queue {
public:
  /// Nothing is known: no Slurm here, or it does not answer.
  Queue() = default;
  /// From the lines of `squeue --array --format=%i|%A|%T|%j`.
  explicit Queue(std::string const& listing);

  /// Asks squeue where there is one, for ten seconds at most; a warning where it does not answer.
  static Queue ask();

  /// PENDING, RUNNING and so on, for ARRAY_INDEX or the job's own number; empty where it is not in the queue.
  std::string state(std::string const& job) const;

  /// "dpo_8b_de: 3 PENDING, 1 RUNNING; judge: 1 PENDING", by the jobs' names; empty where there are none. Jobs that
  /// have not begun have no run folder yet.
  std::string text() const;

private:
  std::map<std::string, std::string> states_;                 // by both ids of a job
  std::map<std::string, std::map<std::string, int>> counts_;  // by name and state
};

}  // namespace refrain::study

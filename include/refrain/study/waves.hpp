#pragma once

#include <refrain/study/queue.hpp>
#include <refrain/study/study_graph.hpp>
#include <refrain/study/study_state.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// A part that ended without its results.
struct FailedPart {
  std::size_t part;
  StudySubmission submission;  ///< its last
  bool began = false;          ///< whether its log is there; one that never began was cancelled

  /// Whether a wave leaves it as it is. A job that waited and never began was cancelled for another's sake.
  bool stays() const { return began || !submission.waited; }
};

/// A member that somebody trains outside the queue's jobs: by hand, or another user.
struct PartElsewhere {
  std::size_t part;
  std::string holder;  ///< as RunFolder::worker says it
};

/// How a job of a study stands.
struct JobStanding {
  std::vector<std::size_t> left;         ///< parts that are neither made nor under way
  std::size_t under_way = 0;             ///< parts that wait or run
  double bytes = 0;                      ///< that those may write at a time
  Words jobs;                            ///< ids of the jobs, or arrays, that they belong to
  Words doomed;                          ///< ids of jobs that wait for one that ended without its results: not counted
  std::vector<PartElsewhere> elsewhere;  ///< of those under way: no job can wait for them
  std::vector<FailedPart> failures;  ///< of `left`, those that were submitted before, where nothing else held them up

  bool done() const { return left.empty() && under_way == 0; }
};

/// Where a part's log is: of the job with this id.
std::filesystem::path log_of(StudyJob const& job, JobPart const& part, std::string const& id);

/// How all jobs stand, by what is on disk, what was submitted, and this user's queue. A part is under way if the queue
/// has it under the job's name; a member of a sweep also if `submit` has submitted it, or somebody holds the lock of
/// its run folder. Jobs that wait for one that has failed or was cancelled are taken out of `queue`: Slurm cancels
/// them, but not before the whole array has ended.
std::vector<JobStanding> look(std::vector<StudyJob> const& graph, StudyState const& state, Queue& queue);

/// What of a wave is limited.
struct Room {
  std::optional<int64_t> jobs;  ///< that may be submitted now; a member of an array counts as one
  std::optional<double> bytes;  ///< that members which train at a time may write, in all
  bool failed_stay = false;     ///< what has failed before is not submitted again
};

/// What is submitted of one job of the graph.
struct Turn {
  std::size_t job;                 ///< its place in the graph
  std::vector<std::size_t> parts;  ///< of it
  int64_t at_once = 0;             ///< of them that may run at a time; 0: all
};

/// What can be submitted now.
struct Wave {
  std::vector<Turn> turns;
  bool more = false;           ///< something is left that a later wave can submit
  bool place_for_next = true;  ///< whether the job that submits that one has a place
};

/// Fills the room in the order of the graph. A job is submitted once those that it needs are made, under way, or in
/// this wave whole. Where not all of it fits, a place is kept for the job that submits the next wave.
Wave plan_wave(std::vector<StudyJob> const& graph, std::vector<JobStanding> const& standings, Room const& room);

/// The call that submits a turn: its array, and behind which jobs it comes. The name of a job that is not submitted yet
/// stands for its id.
Sbatch make_call(std::vector<StudyJob> const& graph, std::vector<JobStanding> const& standings, Turn const& turn);

}  // namespace refrain::study

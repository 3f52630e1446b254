#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

namespace refrain {

/// Exit codes of every job, agreed by all of its ranks.
enum class Exit : int {
  success = 0,
  failure = 1,
  usage = 2,
  stopped_early = 85,  ///< a checkpoint was written and work is left: start me again
};

/// Where something went wrong; fields left at their defaults are not printed.
struct Place {
  int rank = -1;
  std::filesystem::path file = {};
  std::string object = {};  ///< an HDF5 path, a tensor name, "line 12", a JSON key
};

/// Bad input or a failure of the system, as one line: the problem, the place, what to do.
///
///     rank 3: dtype is float64, the schema wants int32 [runs/a/pairs.h5:/tokens] (make the file with refrain-shard)
class Error : public std::runtime_error {
public:
  /// `what()` is all of it in one line.
  explicit Error(std::string problem, std::string remedy = {}, Place place = {});

  std::string const& problem() const noexcept { return problem_; }
  std::string const& remedy() const noexcept { return remedy_; }
  Place const& place() const noexcept { return place_; }
  virtual Exit exit_code() const noexcept { return Exit::failure; }

private:
  std::string problem_, remedy_;
  Place place_;
};

/// A command line that makes no sense: exit code 2.
class UsageError : public Error {
public:
  using Error::Error;
  Exit exit_code() const noexcept override { return Exit::usage; }
};

/// An Error for the system call that just failed, from errno: "cannot `doing`: No space left on device".
/// @pre errno is set
Error system_error(std::string const& doing, std::string remedy = {}, Place place = {});

}  // namespace refrain

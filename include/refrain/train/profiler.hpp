#pragma once

#include <refrain/comm/communicator.hpp>

#include <cstdint>
#include <filesystem>

namespace refrain::train {

/// Records where the time of a few optimizer steps goes, the first step of a start left out: a trace file that
/// chrome://tracing and Perfetto open, and a table of parts that add up to the steps' time.
class Profiler {
public:
  /// No file: does nothing.
  Profiler(std::filesystem::path file, int64_t steps, comm::Communicator world);

  void begin_step();
  /// Behind the last of the steps the trace is written, by rank 0 for all, and the table of rank 0 is logged; a trace
  /// that cannot be written is a warning. @collective
  void end_step();
  /// Where the run ends before that: writes what there is, or says that nothing was recorded. @collective
  void finish();

private:
  void write();

  std::filesystem::path file_;
  int64_t steps_, seen_ = 0, recorded_ = 0;
  comm::Communicator world_;
};

}  // namespace refrain::train

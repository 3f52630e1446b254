#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

/// Where a process's time goes. Off until `start`; a span then costs a clock reading at each end.
namespace refrain::trace {

/// Time from construction to destruction under a part's name; spans nest. `part` and `what` must be literals. `number`
/// tells repetitions apart (a block), -1: nothing to tell.
class Span {
public:
  explicit Span(char const* part, char const* what = "", int64_t number = -1);
  ~Span();
  Span(Span const&) = delete;
  Span& operator=(Span const&) = delete;

private:
  int64_t event_;  // -1 while off
};

void start();
/// Stops recording; what was recorded stays until the next `start`.
void stop();
bool is_on() noexcept;

/// Time spent in a part itself, without the spans within it.
struct PartTime {
  std::string part;
  double seconds = 0;
  int64_t spans = 0;
};
/// Of all finished spans, longest first. They add up to the time in outermost spans.
std::vector<PartTime> part_times();

/// The recorded spans as events of the Trace Event Format ("X" events, microseconds since the epoch, comma-separated
/// without brackets), which chrome://tracing and Perfetto open; `rank` becomes the process.
std::string events_json(int rank);

/// Writes the ranks' events as one file, atomically. @throws Error
void write_events(std::filesystem::path const& path, std::vector<std::string> const& events_of_ranks);

}  // namespace refrain::trace

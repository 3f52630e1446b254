#pragma once

#include <cstdint>
#include <string>

namespace refrain {

/// One line on stderr, with the time of day; only the rank that called `enable_log` speaks.
void log_line(std::string const& text);
/// One line on stderr that begins with "warning:".
void log_warning(std::string const& text);
/// Whether this process speaks; at first it does not.
void enable_log(bool enabled);

/// A bar with rate and ETA where stderr is a terminal, a timed line about every 30 s where it is not.
class Progress {
public:
  /// `first` is where this process starts (a resumed run): what lies before it does not count for the rate.
  Progress(std::string label, int64_t total, std::string unit, int64_t first = 0);
  ~Progress();
  /// `done` of `total`, all in all; `detail` is added to the line.
  void advance(int64_t done, std::string const& detail = {});

private:
  std::string label_, unit_;
  int64_t total_, first_;
  double started_, last_printed_ = 0;
  bool terminal_;
};

/// "1:02:03"
std::string format_duration(double seconds);

}  // namespace refrain

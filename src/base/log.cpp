#include <refrain/base/log.hpp>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace refrain {
namespace {

constexpr double terminal_interval = 0.2;  // seconds between two drawings of the bar
constexpr double line_interval = 30;       // seconds between two lines of a log file
constexpr int bar_width = 24;

bool enabled = false;
bool bar_drawn = false;

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("refrain", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made.set_pattern("%H:%M:%S %v");
    made.flush_on(spdlog::level::trace);
    return made;
  }();
  return instance;
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// A bar stands on the line without a line break; what follows must not be glued to it.
void clear_bar() {
  if (bar_drawn) std::fputs("\r\033[K", stderr);
  bar_drawn = false;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value >= 100 ? "%.0f" : "%.3g", value);
  return text;
}

}  // namespace

void enable_log(bool on) { enabled = on; }

void log_line(std::string const& text) {
  if (!enabled) return;
  clear_bar();
  logger().info(text);
}

void log_warning(std::string const& text) {
  if (!enabled) return;
  clear_bar();
  logger().warn("warning: " + text);
}

Progress::Progress(std::string label, int64_t total, std::string unit, int64_t first)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      first_(first),
      started_(now()),
      terminal_(::isatty(STDERR_FILENO) == 1) {
  last_printed_ = started_;
}

Progress::~Progress() {
  if (terminal_) clear_bar();
}

void Progress::advance(int64_t done, std::string const& detail) {
  double const time = now();
  if (!enabled || time - last_printed_ < (terminal_ ? terminal_interval : line_interval)) return;
  last_printed_ = time;
  double const rate = static_cast<double>(done - first_) / std::max(time - started_, 1e-9);
  std::string text = label_ + " " + std::to_string(done) + "/" + std::to_string(total_) + " " + unit_;
  if (rate > 0)
    text += ", " + number(rate) + " " + unit_ + "/s, ETA " + format_duration(static_cast<double>(total_ - done) / rate);
  if (!detail.empty()) text += ", " + detail;
  if (!terminal_) return log_line(text);
  int const filled = total_ > 0 ? static_cast<int>(std::min<int64_t>(bar_width, done * bar_width / total_)) : bar_width;
  std::fprintf(stderr, "\r[%s%s] %s\033[K", std::string(static_cast<std::size_t>(filled), '#').c_str(),
               std::string(static_cast<std::size_t>(bar_width - filled), '.').c_str(), text.c_str());
  bar_drawn = true;
}

std::string format_duration(double seconds) {
  auto const whole = static_cast<long long>(std::max(0.0, seconds) + 0.5);
  char text[48];
  std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  return text;
}

}  // namespace refrain

#pragma once

#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace refrain::report {

/// The bytes of one of TensorBoard's event files: records of TFRecord (length and data, each behind its masked
/// CRC-32C), whose data are messages of tensorflow/core/util/event.proto. Times are seconds since 1970.
class EventFile {
public:
  explicit EventFile(double time);

  /// Values of single precision under their tags, all of one step.
  void add_scalars(double time, int64_t step, std::vector<std::pair<std::string, double>> const& values);
  /// Markdown, as the text plugin shows it under `tag`.
  void add_text(double time, std::string const& tag, std::string const& text);
  /// What the HParams page compares runs by: the numbers, words and switches among the members of `values`.
  void add_hyperparameters(double time, Json const& values);

  std::string const& bytes() const noexcept { return bytes_; }

private:
  void add_event(double time, int64_t step, int field, std::string_view message);

  std::string bytes_;
};

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4).
uint32_t crc32c(std::string_view bytes);

}  // namespace refrain::report

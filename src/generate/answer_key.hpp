#pragma once

#include <refrain/base/json_file.hpp>

#include <compare>
#include <cstdint>
#include <filesystem>
#include <string>

namespace refrain::generate {

/// What an answer is known by, in files and from one start to the next, whatever other prompts stand beside its own.
struct AnswerKey {
  std::string language;
  int64_t row_id = 0;
  std::string id;
  int64_t sample = 0;
  std::string prompt;  ///< digest of the prompt

  auto operator<=>(AnswerKey const&) const = default;

  /// "de/17/p17/0": the same for another prompt under the old name. Draws depend on it.
  std::string name() const;
  /// Name of a request for this answer with `settings`: of letters, digits, '-' and '_', at most 64 of them. Another
  /// prompt or other settings give another one.
  std::string custom_id(Json const& settings) const;

  /// Members of a record of the journal. @throws Error if one is missing
  static AnswerKey from_record(Json const& record, std::filesystem::path const& path);
  void add_to(Json& record) const;
};

}  // namespace refrain::generate

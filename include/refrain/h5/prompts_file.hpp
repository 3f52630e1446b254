#pragma once

#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::h5 {

/// prompts.v1 in memory: token ids and, per prompt, where it stands in `tokens`, and what it is called. Every column
/// but `tokens` has an element a prompt.
struct Prompts {
  std::vector<int32_t> tokens;
  std::vector<int64_t> begin, row_id;  ///< begin: place in `tokens`
  std::vector<int32_t> length;         ///< in tokens; 0 is an empty prompt under a template that adds nothing
  std::vector<std::string> id, language, category, style;
  std::vector<std::string> text;  ///< the last user turn as given
  /// The conversation that the chat template got, as a JSON list of {role, content}; empty where it is one user turn
  /// with a text, and where there are token ids alone. No elements at all where no prompt has one.
  std::vector<std::string> turns = {};

  int64_t size() const noexcept { return static_cast<int64_t>(row_id.size()); }
};

/// Checks the schema, that every prompt lies within `tokens` and that no id is negative. @throws Error
Prompts read_prompts(std::filesystem::path const& path);
/// Atomically (temporary name, sync, rename). @throws Error
void write_prompts(std::filesystem::path const& path, Prompts const& prompts, Json const& provenance);

}  // namespace refrain::h5

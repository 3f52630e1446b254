#include <refrain/h5/prompts_file.hpp>

#include "columns.hpp"

#include <refrain/h5/token_ranges.hpp>

namespace refrain::h5 {
namespace {

constexpr char const* schema = "prompts.v1";

constexpr auto columns = [](auto& prompts, auto const& each) {
  each("/tokens", prompts.tokens);
  each("/prompt/begin", prompts.begin);
  each("/prompt/length", prompts.length);
  each("/prompt/row_id", prompts.row_id);
  each("/prompt/id", prompts.id);
  each("/prompt/language", prompts.language);
  each("/prompt/category", prompts.category);
  each("/prompt/style", prompts.style);
  each("/prompt/text", prompts.text);
};

}  // namespace

Prompts read_prompts(std::filesystem::path const& path) {
  auto prompts = read_table<Prompts>(path, schema, columns);
  check_ranges({"/prompt/begin", "/prompt/length", prompts.begin, prompts.length},
               static_cast<int64_t>(prompts.tokens.size()), 0, path);
  check_token_ids(prompts.tokens, path);
  return prompts;
}

void write_prompts(std::filesystem::path const& path, Prompts const& prompts, Json const& provenance) {
  write_table(path, schema, prompts, provenance, columns);
}

}  // namespace refrain::h5

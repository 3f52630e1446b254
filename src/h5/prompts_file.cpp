#include <refrain/h5/prompts_file.hpp>

#include "columns.hpp"

#include <refrain/h5/token_ranges.hpp>

#include <algorithm>

namespace refrain::h5 {
namespace {

constexpr char const* schema = "prompts.v1";

constexpr char const* turns_name = "/prompt/turns";

/// All but `turns`, which may be absent.
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
  Reader const file(path, schema);
  auto prompts = read_columns<Prompts>(file, columns);
  if (file.contains_text(turns_name)) prompts.turns = file.read_text(turns_name);
  check_ranges({"/prompt/begin", "/prompt/length", prompts.begin, prompts.length},
               static_cast<int64_t>(prompts.tokens.size()), 0, path);
  check_token_ids(prompts.tokens, path);
  return prompts;
}

void write_prompts(std::filesystem::path const& path, Prompts const& prompts, Json const& provenance) {
  write_table(path, schema, prompts, provenance, [&](Prompts const& table, auto const& each) {
    columns(table, each);
    bool const any =
        std::any_of(table.turns.begin(), table.turns.end(), [](auto const& turns) { return !turns.empty(); });
    if (any) each(turns_name, table.turns);
  });
}

}  // namespace refrain::h5

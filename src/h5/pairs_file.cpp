#include <refrain/h5/pairs_file.hpp>

#include "columns.hpp"

#include <refrain/h5/token_ranges.hpp>

namespace refrain::h5 {
namespace {

constexpr char const* schema = "pairs.v1";

constexpr auto columns = [](auto& pairs, auto const& each) {
  each("/tokens", pairs.tokens);
  each("/pair/prompt_begin", pairs.prompt_begin);
  each("/pair/chosen_begin", pairs.chosen_begin);
  each("/pair/rejected_begin", pairs.rejected_begin);
  each("/pair/prompt_length", pairs.prompt_length);
  each("/pair/chosen_length", pairs.chosen_length);
  each("/pair/rejected_length", pairs.rejected_length);
  each("/pair/row_id", pairs.row_id);
  each("/pair/id", pairs.id);
  each("/pair/language", pairs.language);
  each("/pair/category", pairs.category);
  each("/pair/style", pairs.style);
};

}  // namespace

Pairs read_pairs(std::filesystem::path const& path) {
  auto pairs = read_table<Pairs>(path, schema, columns);
  auto const count = static_cast<int64_t>(pairs.tokens.size());
  check_ranges({"/pair/prompt_begin", "/pair/prompt_length", pairs.prompt_begin, pairs.prompt_length}, count, 1, path);
  check_ranges({"/pair/chosen_begin", "/pair/chosen_length", pairs.chosen_begin, pairs.chosen_length}, count, 1, path);
  check_ranges({"/pair/rejected_begin", "/pair/rejected_length", pairs.rejected_begin, pairs.rejected_length}, count, 1,
               path);
  check_token_ids(pairs.tokens, path);
  return pairs;
}

Json read_provenance(std::filesystem::path const& path) { return Reader(path).provenance(); }

void write_pairs(std::filesystem::path const& path, Pairs const& pairs, Json const& provenance) {
  write_table(path, schema, pairs, provenance, columns);
}

}  // namespace refrain::h5

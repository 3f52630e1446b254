#include <refrain/h5/pairs_file.hpp>

#include <refrain/h5/reader.hpp>
#include <refrain/h5/token_ranges.hpp>
#include <refrain/h5/writer.hpp>

namespace refrain::h5 {

Pairs read_pairs(std::filesystem::path const& path) {
  Reader const file(path, "pairs.v1");
  Pairs pairs{
      .tokens = file.read<int32_t>("/tokens"),
      .prompt_begin = file.read<int64_t>("/pair/prompt_begin"),
      .chosen_begin = file.read<int64_t>("/pair/chosen_begin"),
      .rejected_begin = file.read<int64_t>("/pair/rejected_begin"),
      .row_id = file.read<int64_t>("/pair/row_id"),
      .prompt_length = file.read<int32_t>("/pair/prompt_length"),
      .chosen_length = file.read<int32_t>("/pair/chosen_length"),
      .rejected_length = file.read<int32_t>("/pair/rejected_length"),
      .id = file.read_text("/pair/id"),
      .language = file.read_text("/pair/language"),
      .category = file.read_text("/pair/category"),
      .style = file.read_text("/pair/style"),
  };
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
  Writer file(path, "pairs.v1", provenance);
  file.write("/tokens", pairs.tokens);
  file.write("/pair/prompt_begin", pairs.prompt_begin);
  file.write("/pair/chosen_begin", pairs.chosen_begin);
  file.write("/pair/rejected_begin", pairs.rejected_begin);
  file.write("/pair/prompt_length", pairs.prompt_length);
  file.write("/pair/chosen_length", pairs.chosen_length);
  file.write("/pair/rejected_length", pairs.rejected_length);
  file.write("/pair/row_id", pairs.row_id);
  file.write_text("/pair/id", pairs.id);
  file.write_text("/pair/language", pairs.language);
  file.write_text("/pair/category", pairs.category);
  file.write_text("/pair/style", pairs.style);
  file.finish();
}

}  // namespace refrain::h5

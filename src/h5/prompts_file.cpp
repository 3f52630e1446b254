#include <refrain/h5/prompts_file.hpp>

#include <refrain/h5/reader.hpp>
#include <refrain/h5/token_ranges.hpp>
#include <refrain/h5/writer.hpp>

namespace refrain::h5 {

Prompts read_prompts(std::filesystem::path const& path) {
  Reader const file(path, "prompts.v1");
  Prompts prompts{
      .tokens = file.read<int32_t>("/tokens"),
      .begin = file.read<int64_t>("/prompt/begin"),
      .row_id = file.read<int64_t>("/prompt/row_id"),
      .length = file.read<int32_t>("/prompt/length"),
      .id = file.read_text("/prompt/id"),
      .language = file.read_text("/prompt/language"),
      .category = file.read_text("/prompt/category"),
      .style = file.read_text("/prompt/style"),
      .text = file.read_text("/prompt/text"),
  };
  check_ranges({"/prompt/begin", "/prompt/length", prompts.begin, prompts.length},
               static_cast<int64_t>(prompts.tokens.size()), 0, path);
  check_token_ids(prompts.tokens, path);
  return prompts;
}

void write_prompts(std::filesystem::path const& path, Prompts const& prompts, Json const& provenance) {
  Writer file(path, "prompts.v1", provenance);
  file.write("/tokens", prompts.tokens);
  file.write("/prompt/begin", prompts.begin);
  file.write("/prompt/length", prompts.length);
  file.write("/prompt/row_id", prompts.row_id);
  file.write_text("/prompt/id", prompts.id);
  file.write_text("/prompt/language", prompts.language);
  file.write_text("/prompt/category", prompts.category);
  file.write_text("/prompt/style", prompts.style);
  file.write_text("/prompt/text", prompts.text);
  file.finish();
}

}  // namespace refrain::h5

#include <refrain/study/batch_job.hpp>
#include <refrain/study/program_options.hpp>
#include <refrain/study/prompts.hpp>

#include <fstream>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// Whether the file is HDF5's: prompts that are sharded already.
bool is_hdf5(fs::path const& file) {
  std::string const signature = "\x89HDF\r\n\x1a\n";
  std::string bytes(signature.size(), '\0');
  std::ifstream in(file, std::ios::binary);
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return in && bytes == signature;
}

}  // namespace

bool is_sharded(Words const& prompts) { return prompts.size() == 1 && is_hdf5(prompts.front()); }

Prompts find_prompts(Settings const& settings, Subject const& base) {
  if (is_sharded(settings.prompts)) return {.file = settings.prompts.front(), .line = {}};
  auto const out = base.evaluation() / "prompts.h5";
  auto const as_pairs = pick_options(settings.shard_args, {"--chat-template", "--template-date"}, "REFRAIN_SHARD_ARGS");
  auto const more = add_args(as_pairs, settings.prompt_args, {"REFRAIN_PROMPT_ARGS"});
  Words line{program("shard").string(), "--prompts"};
  line.insert(line.end(), settings.prompts.begin(), settings.prompts.end());
  line.insert(line.end(), {"--tokenizer", settings.model.string(), "--out", out.string()});
  line.insert(line.end(), more.begin(), more.end());
  return {.file = out, .line = line};
}

SharedFile prompts_file(Prompts const& prompts, Settings const& settings) {
  return {.path = prompts.file,
          .line = prompts.line,
          .inputs = settings.prompts,
          .tokenizer = settings.model,
          .before_another = {}};  // refrain-generate knows whether its answers fit
}

void prepare_prompts(Prompts const& prompts, Settings const& settings) {
  if (!prompts.line.empty()) make_once(prompts_file(prompts, settings));
}

}  // namespace refrain::study

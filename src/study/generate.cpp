#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/evaluation.hpp>
#include <refrain/study/shared_file.hpp>

#include <fstream>
#include <iostream>

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

/// The line that makes `out` of REFRAIN_PROMPTS; nothing where that is prompts.h5 itself. All models have the base's
/// tokenizer, and their training pairs' chat template has to be the prompts' too.
Words prompts_line(Settings const& settings, fs::path const& out) {
  if (settings.prompts.size() == 1 && is_hdf5(settings.prompts.front())) return {};
  auto const as_pairs = pick_options(settings.shard_args, {"--chat-template", "--template-date"}, "REFRAIN_SHARD_ARGS");
  auto const more = merge_options(as_pairs, settings.prompt_args, {"--pairs", "--prompts", "--tokenizer", "--out"},
                                  "REFRAIN_PROMPT_ARGS");
  Words line{program("shard").string(), "--prompts"};
  line.insert(line.end(), settings.prompts.begin(), settings.prompts.end());
  line.insert(line.end(), {"--tokenizer", settings.model.string(), "--out", out.string()});
  line.insert(line.end(), more.begin(), more.end());
  return line;
}

Words generate_line(Subject const& subject, Settings const& settings, fs::path const& prompts) {
  Words line{program("generate").string()};
  auto const add = [&](Words const& words) { line.insert(line.end(), words.begin(), words.end()); };
  add(model_options(subject, settings));
  add({"--prompts", prompts.string(), "--out", subject.responses().string()});
  add({"--tensor-parallel", std::to_string(subject.tensor_parallel)});
  add(merge_options({}, settings.generate_args,
                    {"--checkpoint", "--adapter", "--prompts", "--out", "--tensor-parallel"}, "REFRAIN_GENERATE_ARGS"));
  return line;
}

}  // namespace

Exit run_generate(Options const& options) {
  install_stop_handlers();
  auto const [settings, job, subjects] = begin_evaluation(options, "generate", {"REFRAIN_PROMPTS"});
  int64_t const index = options.index ? *options.index : job.allocation ? job.allocation->array_index.value_or(0) : 0;
  auto const& subject = subject_at(subjects, index, job.script);
  log_line("model " + std::to_string(index) + " of " + std::to_string(subjects.size()) + ", " + subject.name + ": " +
           subject.folder.string());
  if (job.allocation) check_allocation(*job.allocation, subject.tensor_parallel, job.script);

  auto const made = subjects.back().evaluation() / "prompts.h5";
  auto const shard = prompts_line(settings, made);
  auto const line = generate_line(subject, settings, shard.empty() ? fs::path(settings.prompts.front()) : made);
  auto const launcher = choose_launcher(settings.launcher, job.allocation, subject.tensor_parallel, program("shard"));
  if (options.dry_run) {
    if (!shard.empty()) std::cout << join_words(shard) << "\n";
    std::cout << launcher.show(line) << "\n";
    return Exit::success;
  }

  if (!shard.empty())
    make_once({.path = made,
               .line = shard,
               .inputs = settings.prompts,
               .tokenizer = settings.model,
               .before_another = {}});  // refrain-generate knows whether its answers fit
  make_folders(subject.evaluation());
  return run_rows(job, launcher, {.what = "answers", .line = line, .outs = {subject.responses()}});
}

}  // namespace refrain::study

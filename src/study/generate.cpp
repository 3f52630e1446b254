#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/evaluation.hpp>
#include <refrain/study/program_options.hpp>
#include <refrain/study/prompts.hpp>

#include <iostream>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

Words generate_line(Subject const& subject, Settings const& settings, fs::path const& prompts) {
  Words line{program("generate").string()};
  auto const add = [&](Words const& words) { line.insert(line.end(), words.begin(), words.end()); };
  add(model_options(subject, settings));
  add({"--prompts", prompts.string(), "--out", subject.responses().string()});
  add({"--tensor-parallel", std::to_string(subject.tensor_parallel)});
  add(add_args({}, settings.generate_args, {"REFRAIN_GENERATE_ARGS"}));
  return line;
}

}  // namespace

Exit run_generate(Options const& options) {
  install_stop_handlers();
  auto const [settings, job, subjects] = begin_evaluation(options, "generate", {"REFRAIN_PROMPTS"});
  int64_t const index = options.index ? *options.index : job.allocation ? job.allocation->array_index.value_or(0) : 0;
  auto const& subject = subject_at(subjects, index);
  log_line("model " + std::to_string(index) + " of " + std::to_string(subjects.size()) + ", " + subject.name + ": " +
           subject.folder.string());
  if (job.allocation) check_allocation(*job.allocation, subject.tensor_parallel, job.script);

  auto const prompts = find_prompts(settings, subjects.back());
  auto const line = generate_line(subject, settings, prompts.file);
  auto const launcher = choose_launcher(settings.launcher, job.allocation, subject.tensor_parallel, program("shard"));
  if (options.dry_run) {
    if (!prompts.line.empty()) std::cout << join_words(prompts.line) << "\n";
    std::cout << launcher.show(line) << "\n";
    return Exit::success;
  }

  prepare_prompts(prompts, settings);
  make_folders(subject.evaluation());
  return run_rows(job, launcher, {.what = "answers", .line = line, .outs = {subject.responses()}});
}

}  // namespace refrain::study

#include <refrain/base/error.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/study/batch_job.hpp>
#include <refrain/study/evaluation.hpp>
#include <refrain/study/process.hpp>
#include <refrain/study/program_options.hpp>

#include <iostream>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

Words archive_line(Settings const& settings, fs::path const& out) {
  Words line{program("archive").string(), "create", "--replace", "--out", out.string()};
  auto const more = add_args({}, settings.archive_args, {"REFRAIN_ARCHIVE_ARGS"});
  line.push_back(settings.runs.string());
  line.insert(line.end(), more.begin(), more.end());
  return line;
}

}  // namespace

Exit run_archive(Options const& options) {
  install_stop_handlers();
  auto const settings = read_settings(current_environment(), {});
  fs::path const file = settings.runs.string() + ".h5";
  for (auto const& page : settings.reports)
    if (!fs::exists(page))
      throw Error("this report is not there yet", start_line({"report"}) + " makes it", {.file = page});
  auto const line = archive_line(settings, file);
  if (options.dry_run) {
    std::cout << join_words(line) << "\n";
    return Exit::success;
  }
  log_line(join_words(line));
  int const code = run_forwarding(line);
  if (code == static_cast<int>(Exit::stopped_early))  // nothing of it is kept: the next start would stop there, too
    throw Error("the time was up before the archive was whole",
                in_job() ? "sbatch --time=... slurm/archive.sh, with more"
                         : start_line({"archive"}) + " begins it again",
                {.file = file});
  if (code != 0) throw Error("refrain-archive ended with " + exit_text(code), "its lines are above", {.file = file});
  return Exit::success;
}

}  // namespace refrain::study

#include <refrain/study/doctor.hpp>
#include <refrain/study/evaluation.hpp>
#include <refrain/study/job.hpp>
#include <refrain/study/member.hpp>
#include <refrain/study/prune.hpp>
#include <refrain/study/run_study.hpp>
#include <refrain/study/submit.hpp>
#include <refrain/study/status.hpp>

namespace refrain::study {

Exit run(Options const& options) {
  if (options.command == "submit") return run_submit(options);
  if (options.command == "rank") return run_rank(options);
  if (options.command == "prune") return run_prune(options);
  if (options.command == "shard") return run_shard(options);
  if (options.command == "generate") return run_generate(options);
  if (options.command == "judge") return run_judge(options);
  if (options.command == "adjudicate") return run_adjudicate(options);
  if (options.command == "report") return run_report(options);
  if (options.command == "archive") return run_archive(options);
  if (options.command == "run") return run_study(options);
  if (options.command == "status") return run_status(options);
  if (options.command == "doctor") return run_doctor(options);
  return run_member(options);
}

}  // namespace refrain::study

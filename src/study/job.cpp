#include <refrain/study/doctor.hpp>
#include <refrain/study/evaluation.hpp>
#include <refrain/study/job.hpp>
#include <refrain/study/member.hpp>
#include <refrain/study/status.hpp>

namespace refrain::study {

Exit run(Options const& options) {
  if (options.command == "generate") return run_generate(options);
  if (options.command == "judge") return run_judge(options);
  if (options.command == "report") return run_report(options);
  if (options.command == "status") return run_status(options);
  if (options.command == "doctor") return run_doctor(options);
  return run_member(options);
}

}  // namespace refrain::study

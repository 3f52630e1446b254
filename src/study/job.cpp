#include <refrain/study/doctor.hpp>
#include <refrain/study/evaluation.hpp>
#include <refrain/study/job.hpp>
#include <refrain/study/member.hpp>
#include <refrain/study/prune.hpp>
#include <refrain/study/ranking.hpp>
#include <refrain/study/run_study.hpp>
#include <refrain/study/status.hpp>
#include <refrain/study/submit.hpp>

#include <map>
#include <string>

namespace refrain::study {

Exit run(Options const& options) {
  static std::map<std::string, Exit (*)(Options const&)> const subcommands{
      {"member", run_member}, {"submit", run_submit},     {"rank", run_rank},   {"prune", run_prune},
      {"shard", run_shard},   {"generate", run_generate}, {"judge", run_judge}, {"adjudicate", run_adjudicate},
      {"report", run_report}, {"archive", run_archive},   {"run", run_study},   {"status", run_status},
      {"doctor", run_doctor}};
  return subcommands.at(options.command)(options);
}

}  // namespace refrain::study

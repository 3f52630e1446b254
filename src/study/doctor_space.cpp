#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/study/disk.hpp>
#include <refrain/study/doctor_checks.hpp>
#include <refrain/study/process.hpp>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include <sys/statvfs.h>
#include <unistd.h>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// What is left of a Lustre quota of this user and its group, the tighter of the two; none without one.
std::optional<double> ask_quota(fs::path const& folder) {
  std::optional<double> least;
  if (!in_path("lfs")) return least;
  for (auto const& [kind, id] : {std::pair{"-u", getuid()}, std::pair{"-g", getegid()}}) {
    auto const said = run_captured({"timeout", "20", "lfs", "quota", "-q", kind, std::to_string(id), folder.string()},
                                   Stderr::capture);
    auto const left = said.code == 0 ? quota_left(said.text) : std::nullopt;
    if (left && (!least || *left < *least)) least = left;
  }
  return least;
}

/// What one member writes at most; none where the model does not tell.
std::optional<double> member_bytes(fs::path const& model, std::string const& train_args) try {
  if (model.empty()) return std::nullopt;
  return peak_disk_bytes(model, split_words(train_args, "REFRAIN_TRAIN_ARGS"));
} catch (std::exception const&) {  // which check_variables says
  return std::nullopt;
}

/// `left` bytes, by free space or a quota, against the members' need.
Finding compare(std::string const& subject, double left, std::optional<double> each, int64_t members) {
  auto const have = format_bytes(left) + (subject == "quota" ? " left" : " free");
  if (!each) return {Health::ok, subject, have};
  auto const need = ", and a member of the sweep may write " + format_bytes(*each);
  auto const fitting = static_cast<int64_t>(left / *each);
  if (fitting < 1) return {Health::broken, subject, have + need, "free space, or set REFRAIN_RUNS to another disk"};
  if (fitting < members)
    return {Health::warning, subject, have + need,
            "let " + std::to_string(fitting) + " of " + std::to_string(members) + " run at once: sbatch --array=0-" +
                std::to_string(members - 1) + "%" + std::to_string(fitting)};
  return {Health::ok, subject, have + need};
}

}  // namespace

std::optional<double> quota_left(std::string const& text) {
  // File system, KiB used (with a star when over), quota, limit, grace, and the same for files.
  std::istringstream words(text);
  std::string filesystem, used, quota, limit;
  if (!(words >> filesystem >> used >> quota >> limit)) return std::nullopt;
  double const bound = std::max(std::atof(limit.c_str()), std::atof(quota.c_str()));
  if (bound <= 0) return std::nullopt;
  return std::max((bound - std::atof(used.c_str())) * 1024, 0.0);
}

Findings check_space(fs::path const& runs, Environment const& environment, std::optional<double> disk_tb,
                     int64_t members) {
  constexpr uint64_t few_files = 10'000;  // a run makes a few hundred
  auto const folder = nearest_folder(fs::absolute(runs));
  auto const each = member_bytes(value_of(environment, "REFRAIN_MODEL"), value_of(environment, "REFRAIN_TRAIN_ARGS"));
  Findings findings;
  try {
    auto const free = static_cast<double>(free_bytes(folder));
    findings.push_back(compare("free space", free, each, members));
    if (disk_tb && *disk_tb * 1e12 > free)
      findings.push_back(
          {Health::warning, "REFRAIN_DISK_TB",
           "allows " + format_bytes(*disk_tb * 1e12) + ", more than is free (" + format_bytes(free) + ")", "lower it"});
  } catch (Error const& error) {
    findings.push_back({Health::broken, "free space", error.problem(), error.remedy()});
  }
  struct statvfs system{};
  if (::statvfs(folder.c_str(), &system) == 0 && system.f_files > 0 && system.f_favail < few_files)
    findings.push_back({Health::warning, "free files", std::to_string(system.f_favail) + " more files fit here",
                        "remove old runs, or set REFRAIN_RUNS to another disk"});
  if (auto const left = ask_quota(folder))
    findings.push_back(compare("quota", *left, each, members));
  else if (!disk_tb)
    findings.push_back({Health::warning, "quota",
                        std::string(in_path("lfs") ? "lfs names none here" : "there is no lfs command to ask") +
                            ", and REFRAIN_DISK_TB is not set",
                        "set REFRAIN_DISK_TB to what the site lets you write, in units of 1e12 bytes"});
  return findings;
}

}  // namespace refrain::study

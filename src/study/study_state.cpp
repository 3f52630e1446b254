#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/study/study_state.hpp>

#include <algorithm>

namespace refrain::study {

namespace fs = std::filesystem;

StudyState::StudyState(fs::path const& folder) : file_(folder / "study.json") {
  if (!fs::exists(file_)) return;
  auto const jobs = json_get<Json>(read_sealed_json(file_), "jobs", file_);
  for (auto const& [name, submissions] : jobs.items()) {
    jobs_.push_back({name, {}});
    for (auto const& each : submissions)
      jobs_.back().second.push_back({.job = json_get<std::string>(each, "job", file_),
                                     .indices = json_get<std::vector<int64_t>>(each, "indices", file_),
                                     .waited = json_get<bool>(each, "waited", file_),
                                     .at_once = json_get<int64_t>(each, "at_once", file_),
                                     .variables = each.value("variables", Variables{}),
                                     .time = json_get<std::string>(each, "time", file_)});
  }
}

std::vector<StudySubmission> const& StudyState::of(std::string const& job) const {
  static std::vector<StudySubmission> const none;
  auto const found = std::find_if(jobs_.begin(), jobs_.end(), [&](auto const& entry) { return entry.first == job; });
  return found == jobs_.end() ? none : found->second;
}

void StudyState::add(std::string const& job, StudySubmission submission) {
  if (submission.time.empty()) submission.time = utc_now();
  auto found = std::find_if(jobs_.begin(), jobs_.end(), [&](auto const& entry) { return entry.first == job; });
  if (found == jobs_.end()) found = jobs_.insert(jobs_.end(), {job, {}});
  found->second.push_back(std::move(submission));
  Json jobs = Json::object();
  for (auto const& [name, submissions] : jobs_) {
    jobs[name] = Json::array();
    for (auto const& each : submissions)
      jobs[name].push_back({{"job", each.job},
                            {"indices", each.indices},
                            {"waited", each.waited},
                            {"at_once", each.at_once},
                            {"variables", each.variables},
                            {"time", each.time}});
  }
  write_sealed_json(file_, {{"jobs", jobs}});
}

FolderLock lock_study(fs::path const& folder) {
  std::string holder;
  if (auto lock = FolderLock::try_acquire(folder / "study.lock", holder)) return std::move(*lock);
  throw Error("another run of this study is at work: " + holder, "wait until it has ended", {.file = folder});
}

}  // namespace refrain::study

#include <refrain/base/provenance.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/study/submissions.hpp>

#include <algorithm>

namespace refrain::study {

Submissions::Submissions(std::filesystem::path const& folder) : file_(folder / "submissions.json") {
  if (!std::filesystem::exists(file_)) return;
  auto const entries = json_get<Json>(read_sealed_json(file_), "submissions", file_);
  for (auto const& entry : entries) {
    Submission submission{.job = json_get<std::string>(entry, "job", file_),
                          .name = json_get_or<std::string>(entry, "name", "", file_)};
    auto const members = json_get<Json>(entry, "members", file_);
    for (auto const& [index, member] : members.items())
      submission.members[std::stoll(index)] = json_get<std::string>(members, index, file_);
    all_.push_back(std::move(submission));
  }
}

void Submissions::add(Submission const& submission) {
  Json file{{"submissions", Json::array()}};
  if (std::filesystem::exists(file_)) file = read_sealed_json(file_);
  Json members = Json::object();
  for (auto const& [index, folder] : submission.members) members[std::to_string(index)] = folder;
  file["submissions"].push_back({{"job", submission.job},
                                 {"name", submission.name},
                                 {"time", utc_now()},
                                 {"host", host_name()},
                                 {"sweep", submission.sweep},
                                 {"line", submission.line},
                                 {"members", members}});
  write_sealed_json(file_, file);
  all_.push_back(submission);
}

Submission const* Submissions::find(QueuedJob const& job) const {
  auto const found =
      std::find_if(all_.begin(), all_.end(), [&](Submission const& each) { return each.job == job.array_job; });
  return found == all_.end() ? nullptr : &*found;
}

QueuedJob const* Submissions::recorded(std::string const& folder, Queue const& queue) const {
  auto const has_member = [&](Submission const& array, int64_t index) {
    return array.members.contains(index) && array.members.at(index) == folder;
  };
  auto const is_the_members = [&](QueuedJob const& job) {
    if (!job.index) return false;
    if (auto const* const array = find(job)) return has_member(*array, *job.index);
    return std::any_of(all_.begin(), all_.end(), [&](Submission const& array) {
      return array.name == job.name && has_member(array, *job.index);
    });
  };
  auto const found = std::find_if(queue.begin(), queue.end(), is_the_members);
  return found == queue.end() ? nullptr : &*found;
}

std::string Submissions::job_of(std::string const& name, int64_t index, std::string const& folder,
                                Queue const& queue) const {
  if (auto const* const job = recorded(folder, queue)) return job->id;
  for (auto const& job : queue)
    if (job.name == name && job.index == index && !find(job)) return job.id;
  return {};
}

}  // namespace refrain::study

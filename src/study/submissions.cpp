#include <refrain/base/json_file.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/study/submissions.hpp>

#include <algorithm>

namespace refrain::study {

Submissions::Submissions(std::filesystem::path const& folder) : file_(folder / "submissions.json") {
  if (!std::filesystem::exists(file_)) return;
  auto const entries = json_get<Json>(read_json(file_), "submissions", file_);
  for (auto const& entry : entries) {
    Submission submission{.job = json_get<std::string>(entry, "job", file_)};
    auto const members = json_get<Json>(entry, "members", file_);
    for (auto const& [index, member] : members.items())
      submission.members[std::stoll(index)] = json_get<std::string>(members, index, file_);
    all_.push_back(std::move(submission));
  }
}

void Submissions::add(Submission const& submission) {
  Json file{{"submissions", Json::array()}};
  if (std::filesystem::exists(file_)) file = read_json(file_);
  Json members = Json::object();
  for (auto const& [index, folder] : submission.members) members[std::to_string(index)] = folder;
  file["submissions"].push_back({{"job", submission.job},
                                 {"time", utc_now()},
                                 {"host", host_name()},
                                 {"sweep", submission.sweep},
                                 {"line", submission.line},
                                 {"members", members}});
  write_json(file_, file);
  all_.push_back(submission);
}

std::string Submissions::job_of(std::string const& name, int64_t index, std::string const& folder,
                                Queue const& queue) const {
  for (auto const& job : queue) {
    if (job.name != name || !job.index) continue;
    auto const known =
        std::find_if(all_.begin(), all_.end(), [&](auto const& each) { return each.job == job.array_job; });
    bool const is_member = known == all_.end()
                               ? *job.index == index
                               : known->members.contains(*job.index) && known->members.at(*job.index) == folder;
    if (is_member) return job.id;
  }
  return {};
}

}  // namespace refrain::study

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/study/sbatch.hpp>
#include <refrain/study/slurm.hpp>

#include <algorithm>
#include <sstream>

namespace refrain::study {

namespace {

/// The first line in which sbatch says why it refuses, without its own name in front; else the first line.
std::string reason_in(std::string const& text) {
  std::istringstream lines(text);
  std::string first;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    if (first.empty()) first = line;
    for (std::string const prefix : {"sbatch: error: ", "sbatch: fatal: ", "sbatch: "})
      if (line.starts_with(prefix)) return line.substr(prefix.size());
  }
  return first.empty() ? "nothing" : first;
}

}  // namespace

void require_sbatch() {
  if (!in_path("sbatch"))
    throw Error("sbatch is not in PATH", "run this where jobs are submitted, or load the site's Slurm module");
}

Words Sbatch::line() const {
  Words words{"sbatch", "--parsable"};
  auto const add = [&](std::string const& option, std::string const& value) {
    if (!value.empty()) words.push_back(option + "=" + value);
  };
  add("--job-name", job_name);
  add("--array", array);
  std::string conditions;
  for (auto const& condition : dependencies) conditions += (conditions.empty() ? "" : ",") + condition;
  add("--dependency", conditions);
  if (!conditions.empty()) words.emplace_back("--kill-on-invalid-dep=yes");
  add("--chdir", folder.string());
  // Where SBATCH_EXPORT=NONE is a site's default, another sweep would run.
  if (!variables.empty()) words.emplace_back("--export=ALL");
  words.insert(words.end(), options.begin(), options.end());
  words.push_back(script.string());
  return words;
}

std::string Sbatch::show() const {
  std::string text;
  for (auto const& [name, value] : variables) text += name + "=" + join_words({value}) + " ";
  return text + join_words(line());
}

std::string Sbatch::submit() const {
  require_sbatch();
  auto all = without_slurm_variables();
  all.insert(variables.begin(), variables.end());
  auto const answer = run_captured(line(), Stderr::capture, all);
  if (answer.code != 0)
    throw Error("sbatch refuses: " + reason_in(answer.text), "when that is put right: " + show(), {.file = script});
  auto const id = parse_job_id(answer.text);
  if (id.empty())
    throw Error("sbatch prints no job id: " + reason_in(answer.text), "look at squeue; the line was " + show(),
                {.file = script});
  return id;
}

void check_sbatch_options(Words const& options) {
  if (options.empty() || !in_path("sbatch")) return;
  auto const ask = [](Words words) {  // it reads its words up to this one, and ends there
    words.insert(words.begin(), "sbatch");
    words.emplace_back("--version");
    return run_captured(words, Stderr::capture, without_slurm_variables());
  };
  auto const answer = ask(options);
  if (answer.code != 0 && ask({}).code == 0)
    throw Error("sbatch refuses: " + reason_in(answer.text), "sbatch --help lists its options");
}

Words directives(std::filesystem::path const& script) {
  std::string const mark = "#SBATCH ";
  Words options;
  std::istringstream lines(read_file(script));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(mark))
      for (auto& word : split_words(std::string_view(line).substr(mark.size()), script.string()))
        options.push_back(std::move(word));
  return options;
}

std::string format_array(std::vector<int64_t> const& indices, int64_t at_once) {
  std::string text;
  for (std::size_t begin = 0; begin < indices.size();) {
    std::size_t end = begin + 1;
    while (end < indices.size() && indices[end] == indices[end - 1] + 1) ++end;
    text += (text.empty() ? "" : ",") + std::to_string(indices[begin]);
    if (end - begin > 1) text += "-" + std::to_string(indices[end - 1]);
    begin = end;
  }
  if (at_once > 0 && at_once < static_cast<int64_t>(indices.size())) text += "%" + std::to_string(at_once);
  return text;
}

std::string parse_job_id(std::string const& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    auto const id = line.substr(0, line.find(';'));
    if (!id.empty() && id.find_first_not_of("0123456789") == std::string::npos) return id;
  }
  return {};
}

}  // namespace refrain::study

#include <refrain/base/error.hpp>
#include <refrain/study/failure.hpp>

#include <array>
#include <optional>
#include <regex>
#include <sstream>
#include <string_view>
#include <vector>

namespace refrain::study {

namespace {

using Lines = std::vector<std::string>;

Lines split_lines(std::string const& text) {
  std::istringstream in(text);
  Lines lines;
  // Of a line that never ends the beginning says enough; std::regex recurses with its length.
  constexpr std::size_t longest = 2000;
  for (std::string line; std::getline(in, line);) lines.push_back(line.substr(0, longest));
  return lines;
}

/// A line and what a pattern caught of it.
struct Match {
  std::size_t line = 0;
  std::vector<std::string> caught;
};

/// The first line that the pattern matches.
std::optional<Match> find_first(Lines const& lines, std::string const& pattern) {
  std::regex const wanted(pattern);
  for (std::size_t i = 0; i < lines.size(); ++i)
    if (std::smatch found; std::regex_search(lines[i], found, wanted))
      return Match{i, {found.begin() + 1, found.end()}};
  return {};
}

/// Whether a rank ended because another one had gone: comm's watchdog, and its words for a failure of MPI.
bool blames_another(std::string const& line) {
  constexpr std::array<std::string_view, 3> words{"stopped answering in: ", "got no further for ",
                                                  "look for a rank that ended, or a network that fails"};
  for (auto const word : words)
    if (line.find(word) != std::string::npos) return true;
  return false;
}

Failure at(std::string const& node, bool lost, std::string const& what) {
  return {.lost = lost, .node = node, .cause = node.empty() || what.empty() ? what : node + ": " + what};
}

}  // namespace

std::string failed_launch(std::string const& said) {
  auto const launch = find_first(split_lines(said), "^srun: error: (task \\d+ launch failed: .*)$");
  return launch ? launch->caught[0] : "";
}

Failure explain(int code, std::string const& program, std::string const& said) {
  auto const lines = split_lines(said);

  // Slurm's and mpirun's words for a node that does not answer.
  for (auto const* pattern : {"Node failure on (\\S+)", "on node (\\S+) failed",
                              "failed on node (\\S+): ", "Remote daemon: .* on node (\\S+)"})
    if (auto const node = find_first(lines, pattern)) return at(node->caught[0], true, "the node was lost");

  if (auto const launch = failed_launch(said); !launch.empty()) return at("", true, launch);

  // What a rank of ours said before it ended.
  auto const own = find_first(lines, "^" + program + ": (.*)$");
  // srun's lines come in the order in which ranks end, and ranks that srun ends itself come behind.
  auto const task = find_first(lines, "^srun: error: (\\S+): (tasks? \\S+): (.*)$");
  std::string const node = task ? task->caught[0] : "";
  if (own && !blames_another(own->caught[0])) return at(node, false, own->caught[0]);
  auto const blamed = [&] {
    auto const& text = own->caught[0];
    auto const host = find_first({text}, "\\(host (\\S+), process");
    return host ? Failure{true, host->caught[0], text} : at(node, true, text);
  };
  // Of a rank that went and those that miss it, whoever is heard first knows.
  if (own && (!task || own->line < task->line)) return blamed();
  if (task && !task->caught[2].starts_with("Exited with exit code"))
    return at(node, task->caught[2] != "Out Of Memory", task->caught[1] + ": " + task->caught[2]);
  if (auto const rank =
          find_first(lines, "noticed that process (rank \\d+) .* on node (\\S+) exited on (signal .*)\\.$"))
    return at(rank->caught[1], true, rank->caught[0] + ": " + rank->caught[2]);
  if (find_first(lines, "DUE TO NODE FAILURE")) return {.lost = true, .node = {}, .cause = "a node was lost"};
  if (own) return blamed();
  return {.lost = code > 128, .node = node, .cause = {}};  // a launcher that was killed says nothing
}

}  // namespace refrain::study

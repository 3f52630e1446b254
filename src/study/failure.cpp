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

/// The first line that the pattern matches, and what it caught there.
std::optional<std::smatch> find_first(Lines const& lines, std::string const& pattern) {
  std::regex const wanted(pattern);
  for (auto const& line : lines)
    if (std::smatch found; std::regex_search(line, found, wanted)) return found;
  return {};
}

/// What a rank of ours said before it ended, without the program's name; empty if it said nothing.
std::string own_line(Lines const& lines, std::string const& program) {
  auto const found = find_first(lines, "^" + program + ": (.*)$");
  return found ? found->str(1) : std::string{};
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

Failure explain(int code, std::string const& program, std::string const& said) {
  auto const lines = split_lines(said);
  auto const own = own_line(lines, program);

  // Slurm's and mpirun's words for a node that does not answer.
  for (auto const* pattern : {"Node failure on (\\S+)", "on node (\\S+) failed", "failed on node (\\S+): ",
                              "Remote daemon: .* on node (\\S+)"})
    if (auto const node = find_first(lines, pattern)) return at(node->str(1), true, "the node was lost");

  // srun's lines come in the order in which ranks end, and ranks that srun ends itself come behind.
  auto const task = find_first(lines, "^srun: error: (\\S+): (tasks? \\S+): (.*)$");
  std::string const node = task ? task->str(1) : "";
  if (!own.empty() && !blames_another(own)) return at(node, false, own);
  if (task && !task->str(3).starts_with("Exited with exit code"))
    return at(node, task->str(3) != "Out Of Memory", task->str(2) + ": " + task->str(3));
  if (auto const rank =
          find_first(lines, "noticed that process (rank \\d+) .* on node (\\S+) exited on (signal .*)\\.$"))
    return at(rank->str(2), true, rank->str(1) + ": " + rank->str(3));
  if (auto const host = find_first({own}, "\\(host (\\S+), process")) return {true, host->str(1), own};
  if (!own.empty()) return at(node, true, own);
  if (find_first(lines, "DUE TO NODE FAILURE")) return {.lost = true, .node = {}, .cause = "a node was lost"};
  return {.lost = code > 128, .node = node, .cause = {}};  // a launcher that was killed says nothing
}

}  // namespace refrain::study

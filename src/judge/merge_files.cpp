#include "merge_files.hpp"

#include "summary.hpp"
#include "verdict_files.hpp"

#include <refrain/base/counted.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/log.hpp>
#include <refrain/h5/reader.hpp>
#include <refrain/judge/decision.hpp>

#include <algorithm>

namespace refrain::judge {
namespace {

namespace fs = std::filesystem;

/// A judge's own file took hours to make; what is merged is made again in a moment.
void require_merged_or_absent(fs::path const& out) {
  if (fs::exists(out) && h5::Reader(out, "verdicts.v1").provenance().contains("identity"))
    throw UsageError("--out holds a judge's own verdicts, and would be overwritten", "name another file, or remove it",
                     {.file = out});
}

}  // namespace

void merge_files(Options const& options) {
  fs::path const& out = options.out.front();
  require_merged_or_absent(out);
  std::vector<VerdictsOf> files;
  for (auto const& path : options.verdicts) files.push_back(read_file(path));
  h5::Verdicts verdicts = merge(files);
  if (options.adjudicator != Options().adjudicator && !verdicts.judges.contains(options.adjudicator))
    throw UsageError("--adjudicator " + options.adjudicator + ": no file has verdicts of this judge",
                     "there are those of " + joined(verdicts.judges | std::views::keys));
  bool const has_guard = std::any_of(verdicts.judges.begin(), verdicts.judges.end(), [&](auto const& judge) {
    return judge.second.kind == "safety" && judge.first != options.adjudicator;
  });
  if (has_guard || !options.guards.empty())
    set_decisions(verdicts, {.guards = choose_guards(verdicts, options.guards, options.adjudicator),
                             .adjudicator = verdicts.judges.contains(options.adjudicator) ? options.adjudicator : ""});
  Provenance provenance("refrain-judge", options.record);
  for (auto const& path : options.verdicts) provenance.add_input(path);
  inherit(provenance, options.verdicts);
  write_verdicts(out, verdicts, provenance.json());
  log_line(counted(verdicts.size(), "answer") + " in " + out.string() + ": " +
           (verdicts.final_label.empty() ? "no guard among the judges, so nothing is decided"
                                         : summary_of_decisions(verdicts)));
}

}  // namespace refrain::judge

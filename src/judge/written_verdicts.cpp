#include "written_verdicts.hpp"

#include <refrain/base/log.hpp>
#include <refrain/h5/reader.hpp>
#include <refrain/judge/quality.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>

#include <algorithm>
#include <array>
#include <map>

namespace refrain::judge {
namespace {

namespace fs = std::filesystem;

h5::Judgements quality_judgements(h5::Responses const& responses) {
  h5::Judgements columns{.kind = "quality"};
  for (std::size_t row = 0; row < responses.text.size(); ++row) {
    Quality const quality = quality_of(responses.text[row]);
    columns.labels["empty"].push_back(static_cast<int8_t>(quality.empty));
    columns.labels["repetition"].push_back(static_cast<int8_t>(quality.repetition));
    columns.labels["truncated"].push_back(
        static_cast<int8_t>(responses.finish[row] == static_cast<int8_t>(h5::Finish::length)));
  }
  return columns;
}

/// A judge's own file took hours to make; what is merged is made again in a moment.
void require_merged_or_absent(fs::path const& out) {
  if (fs::exists(out) && h5::Reader(out, "verdicts.v1").provenance().contains("identity"))
    throw UsageError("--out holds a judge's own verdicts, and would be overwritten", "name another file, or remove it",
                     {.file = out});
}

}  // namespace

h5::Verdicts rows_of(h5::Responses const& responses) {
  h5::Verdicts verdicts{.row_id = responses.row_id,
                        .sample = responses.sample,
                        .id = responses.id,
                        .language = responses.language,
                        .category = responses.category,
                        .style = responses.style,
                        .judges = {},
                        .final_label = {},
                        .decided_by = {}};
  verdicts.judges["quality"] = quality_judgements(responses);
  return verdicts;
}

VerdictsOf read_file(fs::path const& path) {
  Json const provenance = h5::Reader(path, "verdicts.v1").provenance();
  return {.path = path, .responses = provenance.value("responses_sha256", ""), .rows = h5::read_verdicts(path)};
}

std::vector<std::string> choose_guards(h5::Verdicts const& verdicts, std::vector<std::string> const& names,
                                       std::string const& adjudicator) {
  if (!names.empty()) return names;
  std::vector<std::string> guards;
  for (auto const& [name, judge] : verdicts.judges)
    if (judge.kind == "safety" && name != adjudicator) guards.push_back(name);
  if (guards.empty())
    throw UsageError("no guard has judged these answers", "name files of judges of kind safety with --verdicts");
  return guards;
}

void inherit(Provenance& provenance, std::vector<fs::path> const& files) {
  Json judges = provenance.json().value("judges", Json::object());
  for (auto const& file : files) {
    Json const theirs = h5::Reader(file, "verdicts.v1").provenance();
    judges.update(theirs.value("judges", Json::object()));
    for (char const* key : {"responses", "responses_sha256"})
      if (!provenance.json().contains(key) && theirs.contains(key)) provenance.set(key, theirs.at(key));
  }
  provenance.set("judges", judges);
}

void set_decisions(h5::Verdicts& verdicts, Deciders const& deciders) {
  Decisions decisions = decide(verdicts, deciders);
  verdicts.final_label = std::move(decisions.label);
  verdicts.decided_by = std::move(decisions.decided_by);
}

void write_verdicts(fs::path const& out, h5::Verdicts const& verdicts, Json const& provenance) {
  h5::VerdictsWriter file(out, provenance);
  file.append(verdicts);
  file.finish();
}

std::string summary(h5::Verdicts const& verdicts, std::string const& name) {
  struct Column {
    char const* name;
    char const* zero;
    char const* others;
  };
  static std::map<std::string, Column> const columns{
      {"safety", {"label", "safe", "unsafe"}},
      {"refusal", {"refusal", "no refusals", "refusals"}},
      {"language", {"consistent", "in another language", "in the prompt's language"}},
      {"rubric", {"label", "with score 0", "with a score"}}};
  h5::Judgements const& judge = verdicts.judges.at(name);
  Column const& column = columns.at(judge.kind);
  std::map<std::string_view, int64_t> counts;
  for (int8_t const label : judge.labels.at(column.name))
    ++counts[label == h5::unparsed ? "unparsed" : label < 0 ? "not asked" : label == 0 ? column.zero : column.others];
  std::vector<std::string> said;
  for (char const* what : {column.zero, column.others, "unparsed", "not asked"})
    if (counts[what] > 0) said.push_back(std::to_string(counts[what]) + " " + what);
  return joined(said);
}

std::string summary_of_decisions(h5::Verdicts const& verdicts) {
  std::map<std::string, int64_t> undecided;
  std::array<int64_t, 2> decided{};
  for (std::size_t row = 0; row < verdicts.final_label.size(); ++row)
    if (auto const label = verdicts.final_label[row]; label >= 0)
      ++decided.at(static_cast<std::size_t>(label));
    else
      ++undecided[verdicts.decided_by[row]];
  std::string text = std::to_string(decided[0]) + " safe, " + std::to_string(decided[1]) + " unsafe";
  std::vector<std::string> reasons;
  int64_t count = 0;
  for (auto const& [reason, times] : undecided) {
    count += times;
    reasons.push_back(std::to_string(times) + " " + reason);
  }
  return count == 0 ? text : text + ", " + std::to_string(count) + " undecided (" + joined(reasons) + ")";
}

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
  log_line(std::to_string(verdicts.size()) + " answers in " + out.string() + ": " +
           (verdicts.final_label.empty() ? "no guard among the judges, so nothing is decided"
                                         : summary_of_decisions(verdicts)));
}

}  // namespace refrain::judge

#pragma once

#include "raw_verdict.hpp"

#include <refrain/base/provenance.hpp>
#include <refrain/judge/decision.hpp>
#include <refrain/judge/options.hpp>

#include <filesystem>
#include <optional>
#include <vector>

namespace refrain::judge {

/// The rows of a file of verdicts on these answers, with the flags that every one has (judge `quality`).
h5::Verdicts rows_of(h5::Responses const& responses);

/// A file of verdicts as `merge` takes it. @throws Error
VerdictsOf read_file(std::filesystem::path const& path);

/// `names`, or all judges of kind safety but the adjudicator. @throws UsageError if there is none
std::vector<std::string> choose_guards(h5::Verdicts const& verdicts, std::vector<std::string> const& names,
                                       std::string const& adjudicator);

/// Adds what verdict files say of their making to the provenance of a file made from them: each judge's settings
/// (`judges`), and of the answers the digest (`responses_sha256`) and the provenance (`responses`). @throws Error
void inherit(Provenance& provenance, std::vector<std::filesystem::path> const& files);

/// Fills `final_label` and `decided_by`. @throws Error as `decide`
void set_decisions(h5::Verdicts& verdicts, Deciders const& deciders);

/// @throws Error; nothing is left then
void write_verdicts(std::filesystem::path const& out, h5::Verdicts const& verdicts, Json const& provenance);

/// What a judge said, for the log: "12 safe, 3 unsafe, 1 unparsed".
std::string summary(h5::Verdicts const& verdicts, std::string const& judge);
/// What was decided: "12 safe, 3 unsafe, 1 undecided (1 empty)".
std::string summary_of_decisions(h5::Verdicts const& verdicts);

/// --judge merge. @throws Error, UsageError
void merge_files(Options const& options);

}  // namespace refrain::judge

#pragma once

#include "decision.hpp"
#include "said.hpp"

#include <refrain/base/provenance.hpp>
#include <refrain/judge/options.hpp>

#include <filesystem>
#include <optional>
#include <vector>

namespace refrain::judge {

/// Verdicts of one judge on one file of answers, with the flags that every such file has (judge `quality`).
h5::Verdicts verdicts_of(Definition const& definition, std::vector<std::optional<Said>> const& said,
                         h5::Responses const& responses);

/// Adds what verdict files say of their making to the provenance of a file made from them: each judge's settings
/// (`judges`), and the answers' provenance (`responses`). @throws Error
void inherit(Provenance& provenance, std::vector<std::filesystem::path> const& files);

/// @throws Error; nothing is left then
void write_verdicts(std::filesystem::path const& out, h5::Verdicts const& verdicts, Json const& provenance);

/// What a judge said, for the log: "12 safe, 3 unsafe, 1 unparsed".
std::string summary(h5::Verdicts const& verdicts, std::string const& judge);
/// What was decided: "12 safe, 3 unsafe, 1 undecided (1 empty)".
std::string summary_of_decisions(h5::Verdicts const& verdicts);

/// --judge merge. @throws Error, UsageError
void merge(Options const& options);

}  // namespace refrain::judge

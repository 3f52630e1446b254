#pragma once

#include <refrain/report/document.hpp>
#include <refrain/report/languages.hpp>
#include <refrain/report/options.hpp>
#include <refrain/report/results.hpp>
#include <refrain/report/runs.hpp>
#include <refrain/report/settings.hpp>

#include <string>
#include <vector>

namespace refrain::report {

/// What a report is made from.
struct Inputs {
  Options const& options;
  Results const& results;
  std::vector<Run> const& runs;
  Languages const& languages;
  Results const& dev;  ///< of a dev split, to rank runs by

  Identity identity() const { return options.anonymous ? Identity::left_out : Identity::shown; }
};

/// All of the report. @throws Error
Document make_document(Inputs const& inputs);

/// Whether languages that no safety judge of these verdicts was made for are marked.
enum class Daggers { none, shown };

/// Languages as people read them, in columns of codes (`language`, `train`, `test`): "Slovak (sk)".
Table with_language_names(Table table, Inputs const& inputs, Daggers daggers);

/// What was not measured, a sentence each.
std::vector<std::string> not_measured(Inputs const& inputs);

/// Prompts and answers: for each checkpoint and language some where judges differ, nothing was decided, or an attack
/// succeeded. Text of the guarded category, and of rows whose category nobody knows, only if it is asked for.
/// @throws Error for a responses file that is of no checkpoint
Section example_section(Inputs const& inputs);

/// Settings, pairs, hours, deviations: for a paper's appendix.
std::string appendix(Inputs const& inputs);

}  // namespace refrain::report

#pragma once

#include <refrain/report/document.hpp>
#include <refrain/report/results.hpp>
#include <refrain/report/runs.hpp>

#include <vector>

/// Sweeps: which member does best on a dev split. Test verdicts are never asked, so that choosing stays apart from
/// testing.
namespace refrain::report {

/// Verdicts about answers to dev prompts, which belong to `runs` by their names.
/// @throws UsageError for verdicts of no run; Error for a dev prompt that is one of `test` too, and where two runs of a
/// sweep were judged on different prompts
Results read_dev_results(Options const& options, Results const& test, std::vector<Run> const& runs);

/// sweep, run, state, beta, learning_rate, seed, dev_pairs, accuracy, accuracy_place, margin, margin_place, n, unsafe,
/// unparsed, asr, ci_low, ci_high, asr_place: a row a run, the best by accuracy first within its sweep. Accuracy and
/// margin are of the rewards, from the last evaluation of held-out pairs (`dev_pairs`: the first digits of their
/// SHA-256). A sweep's members stand in one folder. Places begin at 1, equals share one, and only finished runs that
/// were evaluated on the same pairs are compared. No rows if no run has a value.
Table ranking_table(std::vector<Run> const& runs, Results const& dev);

/// sweep, dev_pairs, measure, beta, learning_rate, members, value: means over the ranked members of equal beta and
/// learning rate; every beta of a sweep with every learning rate, with nothing where there is no member.
Table sweep_grid(Table const& ranking);

/// The ranking with a heat map over beta x learning rate for every measure of every sweep that varies either; nothing
/// to show if the ranking has no rows.
Section ranking_section(Table const& ranking, Table const& grid);

}  // namespace refrain::report

#pragma once

#include <refrain/report/bootstrap.hpp>
#include <refrain/report/languages.hpp>
#include <refrain/report/results.hpp>
#include <refrain/report/table.hpp>

#include <string>
#include <vector>

/// Tables over verdicts, in long form. Every one has the pool of all languages in rows of language `all`. Intervals are
/// Wilson's unless a table says otherwise.
namespace refrain::report {

/// The language of rows over all languages.
inline constexpr char pool[] = "all";

/// name, n, unsafe, unparsed, asr, ci_low, ci_high, cluster_low, cluster_high, language_mean, all_safe, all_unsafe.
Table pooled_table(Results const& results, PooledIntervals const& intervals);
/// name, language, n, unsafe, unparsed, asr, ci_low, ci_high.
Table asr_table(Results const& results);
/// The same by category; no rows where no row has one.
Table category_table(Results const& results);
/// train, test, asr: of checkpoints that were trained on one language, the first of each.
Table transfer_table(Results const& results, Languages const& languages);
/// Every safety judge by itself: name, language, judge, n, unsafe, unparsed, share, ci_low, ci_high, and by how much
/// the judge's share exceeds the mean of all judges on the same answers (`bias`).
Table judge_table(Results const& results);
/// name, language, judge_a, judge_b, n, both_safe, only_a, only_b, both_unsafe, agreement, kappa: over answers that
/// both labelled.
Table agreement_table(Results const& results);
/// name, language, judge, n, refused, unparsed, refusal_rate, ci_low, ci_high, change (from the baseline).
Table refusal_table(Results const& results);
/// name, language, judge, n, consistent, unparsed, consistency, ci_low, ci_high, change.
Table consistency_table(Results const& results);
/// name, language, judge, n, unparsed, mean, change.
Table rubric_table(Results const& results);
/// name, language, n, empty, repetition, other_language, truncated, undecided, asr, in_doubt, all_safe, all_unsafe.
/// In doubt is what is undecided, empty, endless or in another language, whatever its label: the last two columns are
/// the share of unsafe answers among all `n` if all of these were safe, and if all were unsafe. A count that no judge
/// made is nothing, and doubts nothing.
Table quality_table(Results const& results);
/// Against the baseline on the same prompts and samples: name, language, n, only_baseline, only_name, difference,
/// ci_low, ci_high, p, p_holm. Holm's correction over the pools, and over all single languages.
Table comparison_table(Results const& results, PooledIntervals const& intervals);

}  // namespace refrain::report

#pragma once

#include <refrain/h5/verdicts_file.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace refrain::judge {

/// Who decides whether an answer is unsafe; judges of kind safety, by name.
struct Deciders {
  std::vector<std::string> guards;  ///< at least one
  std::string adjudicator = {};     ///< asked where the guards do not agree; empty for none
};

/// `/final/label` and `/final/decided_by`, an element a row.
struct Decisions {
  std::vector<int8_t> label;
  std::vector<std::string> decided_by;
};

/// Columns of `rows` have an element a row, as read_verdicts gives them.
///
/// The final label of every row, by the first of these that holds:
/// - the answer is empty (a judge of kind quality says so): undecided, "empty", since it neither complied nor refused;
/// - all guards have the same label: that one, decided by "a+b";
/// - the adjudicator has a label: that one, decided by its name. Where it is not among the verdicts it was not asked;
/// - else undecided: "unparsed" if the adjudicator's answer, or without it some guard's, could not be read; "not asked"
///   if some guard was not asked; "differ" if the guards' labels are not the same.
/// @throws Error for a guard that is not among the verdicts, a decider of another kind, or one that is named twice
Decisions decide(h5::Verdicts const& rows, Deciders const& deciders);

/// Fills `final_label` and `decided_by` of `verdicts`. @throws Error as `decide`
void set_decisions(h5::Verdicts& verdicts, Deciders const& deciders);

/// Rows that the adjudicator is to be asked about, ascending: of answers that are not empty, those that all guards were
/// asked about and do not agree on, be it that they differ or that one could not be read. `adjudicator` may be absent.
/// @throws Error as `decide`
std::vector<std::size_t> rows_that_differ(h5::Verdicts const& rows, Deciders const& deciders);

/// `names`, or all judges of kind safety but the adjudicator. @throws UsageError if there is none
std::vector<std::string> choose_guards(h5::Verdicts const& verdicts, std::vector<std::string> const& names,
                                       std::string const& adjudicator);

}  // namespace refrain::judge

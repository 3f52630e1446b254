#pragma once

#include <refrain/h5/responses_file.hpp>
#include <refrain/h5/verdicts_file.hpp>

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::judge {

/// Verdicts of several files on the same answers as one; what was decided before is left out.
/// @throws UsageError for a file on other answers, naming the first row that differs, and for a judge that several
/// files have and that says different things there
h5::Verdicts read_merged(std::vector<std::filesystem::path> const& files);

/// @throws UsageError unless `verdicts` of `path` are on the answers of `responses_path`, row by row
void require_verdicts_on(h5::Verdicts const& verdicts, std::filesystem::path const& path,
                         h5::Responses const& responses, std::filesystem::path const& responses_path);

/// Who decides: guards where they agree, else the adjudicator.
struct Deciders {
  std::vector<std::string> guards;
  std::string adjudicator;  ///< empty where there is none
};

/// `guards` as named, else all judges of kind safety but the adjudicator. The adjudicator need not be there.
/// @throws UsageError if a named guard is not there or is no judge of safety, or none is
Deciders choose_deciders(h5::Verdicts const& verdicts, std::vector<std::string> const& guards,
                         std::string const& adjudicator);

/// Whether an answer is empty, which is neither compliance nor refusal: nobody is asked to decide about it.
bool is_empty(h5::Verdicts const& verdicts, std::size_t row);

/// Whether the guards do not agree on a label: they differ, or one of them has none.
bool differ(h5::Verdicts const& verdicts, std::vector<std::string> const& guards, std::size_t row);

/// Fills `final_label` and `decided_by`: the guards' common label ("a+b"), else the adjudicator's ("c"), else undecided
/// because they "differ", are "unparsed" (the adjudicator too, where it was asked), or the answer is "empty".
void decide(h5::Verdicts& verdicts, Deciders const& deciders);

}  // namespace refrain::judge

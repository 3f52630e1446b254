#pragma once

#include <refrain/h5/verdicts_file.hpp>

#include <string>

namespace refrain::judge {

/// What a judge said, for the log: "12 safe, 3 unsafe, 1 unparsed".
std::string summary(h5::Verdicts const& verdicts, std::string const& judge);
/// What was decided: "12 safe, 3 unsafe, 1 undecided (1 empty)".
std::string summary_of_decisions(h5::Verdicts const& verdicts);

}  // namespace refrain::judge

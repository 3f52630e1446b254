#pragma once

#include <refrain/base/error.hpp>
#include <refrain/report/options.hpp>

namespace refrain::report {

/// Writes report.html, appendix.tex, a CSV file for every table, a LaTeX file for every table shown, SVG and PDF for
/// every figure, and report.json (provenance) into `options.out`; what an earlier report left there is replaced. With
/// the command tensorboard: see tensorboard.hpp.
/// @throws Error; nothing is written then but for a full disk
Exit run(Options const& options);

}  // namespace refrain::report

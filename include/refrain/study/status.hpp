#pragma once

#include <refrain/study/options.hpp>
#include <refrain/study/run_summary.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace refrain::study {

/// Tells of all runs under REFRAIN_RUNS or the folders given: as a table, as JSON, as a page; once, or again and again
/// until it is stopped. Reads files alone, and squeue where there is one.
/// @throws UsageError if no folder is named; Error for one that is not there, and for a page that cannot be written
Exit run_status(Options const& options);

/// What table and page show: a heading, and a row for each run. What is not known is "-", but no error is empty.
std::vector<std::vector<std::string>> status_rows(std::vector<RunSummary> const& runs);

/// The table with a heading, and a line of sums under it. `width` are the terminal's columns, 0 for as many as it
/// takes: the last error is cut first, then columns go, then names are cut.
std::string status_table(std::vector<RunSummary> const& runs, std::size_t width);

/// "3 runs: 1 running, 2 finished; 12.5 node hours"
std::string status_sums(std::vector<RunSummary> const& runs);

/// A page of HTML that needs nothing else: the same rows, with curves of loss and accuracy. `time` is when they were
/// read. Reads each run's metrics.jsonl.
std::string status_page(std::vector<RunSummary> const& runs, std::string const& time);

}  // namespace refrain::study

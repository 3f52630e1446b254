#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/report/results.hpp>
#include <refrain/report/runs.hpp>
#include <refrain/report/table.hpp>

#include <vector>

namespace refrain::report {

/// Whether hosts, paths, users, accounts and job ids are shown.
enum class Identity { shown, left_out };

/// of, setting, value, checkpoints: what the provenance of verdicts (`judging`), of their answers (`generation`) and of
/// runs (`training`) says, each value once with those it holds for.
Table settings_table(Results const& results, std::vector<Run> const& runs, Identity identity);
/// name, file, sha256: the verdict files.
Table files_table(Results const& results, Identity identity);
/// run, setting, here, paper: where training differs from the paper's recipe (src/report/paper.json), and what the
/// paper does not state.
Table deviations_table(std::vector<Run> const& runs);

}  // namespace refrain::report

#pragma once

#include <refrain/base/error.hpp>
#include <refrain/report/options.hpp>

namespace refrain::report {

/// Writes an event file for each of `options.runs` into `options.out`/NAME, NAME being what the report calls the run,
/// and tensorboard.json (provenance) beside them; what an earlier call left there is replaced.
///
/// Scalars are metrics.jsonl's under the names that transformers' TensorBoardCallback gives them: `train/loss`,
/// `eval/rewards/margins`. A row's time is that of the start that wrote it plus the seconds of the start's steps and
/// evaluations up to it: loading and the reference pass, whose time no row has, are left out.
/// @throws Error; nothing is written then but for a full disk
Exit write_tensorboard(Options const& options);

}  // namespace refrain::report

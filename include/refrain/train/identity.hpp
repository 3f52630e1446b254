#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/checkpoint/adapter.hpp>
#include <refrain/train/options.hpp>

#include <optional>

namespace refrain::train {

/// What decides a run's result beside its layout: the options that matter, and digests of model and pairs. A resumed
/// run must have the same. Micro-batches, layout and threads may differ (the result then agrees within rounding).
Json run_identity(Options const& options, DType weights, std::optional<checkpoint::AdapterConfig> const& adapter);

/// What reference.h5 belongs to.
Json reference_key(Json const& identity);

}  // namespace refrain::train

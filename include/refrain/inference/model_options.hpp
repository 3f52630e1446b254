#pragma once

#include <refrain/base/options.hpp>
#include <refrain/model/choices.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace refrain::inference {

/// The options of every job that runs a model forward only.
struct ModelOptions {
  std::filesystem::path checkpoint, adapter;
  int64_t tensor_parallel = 1;
  int data_parallel = 0;
  Precision dtype = Precision::automatic;
  DeviceChoice device = DeviceChoice::automatic;
  std::optional<double> cache_memory;  ///< GiB a rank
  double timeout = 1800;

  /// Declares them as a group of `table`, bound to this object, which must outlive it. `what` the model does:
  /// "answers".
  void add_to(OptionTable& table, std::string const& what);
  /// @throws UsageError for a folder that is not there. @pre a checkpoint is named
  void validate() const;
  /// The first of these options beside `checkpoint` that has another value than its default, as "--adapter"; empty if
  /// none has: without a checkpoint they mean nothing.
  std::string first_changed() const;
};

}  // namespace refrain::inference

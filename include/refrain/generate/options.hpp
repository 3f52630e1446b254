#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/base/options.hpp>
#include <refrain/comm/launch.hpp>
#include <refrain/inference/model_options.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::generate {

/// Options of refrain-generate. Constant once validated, and written into what it makes.
struct Options {
  inference::ModelOptions model;
  std::filesystem::path prompts, out;
  int64_t max_new_tokens = 512, top_k = 0, samples = 1, seed = 42;
  double temperature = 0, top_p = 1;
  std::vector<std::string> stop;
  std::vector<std::string> include_category;
  Json record;  ///< every option with its value, as parsed

  static OptionTable table(Options& options);
  /// @throws UsageError for options that contradict each other or name what is not there
  void validate() const;
  comm::MpiStart mpi() const noexcept { return comm::MpiStart::always; }
  static constexpr bool stops_on_signals = true;
};

}  // namespace refrain::generate

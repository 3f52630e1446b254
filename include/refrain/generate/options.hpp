#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/base/options.hpp>
#include <refrain/comm/launch.hpp>
#include <refrain/endpoint/options.hpp>
#include <refrain/inference/model_options.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::generate {

/// Options of refrain-generate. Constant once validated, and written into what it makes.
struct Options {
  std::filesystem::path prompts, out;
  inference::ModelOptions model;
  endpoint::Options endpoint;  ///< in the place of a checkpoint
  int64_t max_new_tokens = 512, top_k = 0, samples = 1, seed = 42;
  double temperature = 0, top_p = 1;
  std::vector<std::string> stop;
  std::vector<std::string> include_category;
  Json record;  ///< every option with its value, as parsed

  static OptionTable table(Options& options);
  /// @throws UsageError for options that contradict each other or name what is not there
  void validate() const;
  /// Asking a server needs no MPI, which login nodes may refuse.
  comm::MpiStart mpi() const noexcept {
    return model.checkpoint.empty() ? comm::MpiStart::when_launched : comm::MpiStart::always;
  }
  static constexpr bool stops_on_signals = true;

private:
  void validate_source() const;
  void validate_files() const;
};

}  // namespace refrain::generate

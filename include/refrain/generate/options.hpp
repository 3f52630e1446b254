#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/base/options.hpp>
#include <refrain/comm/launch.hpp>
#include <refrain/endpoint/options.hpp>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace refrain {
namespace generate {

enum class Precision { automatic, bf16, fp32 };

/// Options of refrain-generate. Constant once validated, and written into what it makes.
struct Options {
  std::filesystem::path checkpoint, adapter, prompts, out;
  endpoint::Options endpoint;  ///< in the place of a checkpoint
  int64_t max_new_tokens = 512, top_k = 0, samples = 1, seed = 42;
  double temperature = 0, top_p = 1;
  std::vector<std::string> stop;
  std::vector<std::string> include_category;
  std::optional<double> cache_memory;  ///< GiB a rank
  int64_t tensor_parallel = 1;
  int data_parallel = 0;
  Precision dtype = Precision::automatic;
  double timeout = 1800;
  Json record;  ///< every option with its value, as parsed

  static OptionTable table(Options& options);
  /// @throws UsageError for options that contradict each other or name what is not there
  void validate() const;
  /// Asking a server needs no MPI, which login nodes may refuse.
  comm::MpiStart mpi() const noexcept {
    return checkpoint.empty() ? comm::MpiStart::when_launched : comm::MpiStart::always;
  }
  static constexpr bool stops_on_signals = true;

  /// Where finished answers are kept until all are there.
  std::filesystem::path parts_folder() const { return out.string() + ".parts"; }

private:
  void validate_source() const;
  void validate_files() const;
};

}  // namespace generate

template <>
struct EnumChoices<generate::Precision> {
  static constexpr std::array<Choice<generate::Precision>, 3> choices{{
      {generate::Precision::automatic, "auto"},
      {generate::Precision::bf16, "bf16"},
      {generate::Precision::fp32, "fp32"},
  }};
};

}  // namespace refrain

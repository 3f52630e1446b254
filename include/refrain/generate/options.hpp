#pragma once

#include <refrain/inference/asking_options.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::generate {

/// Options of refrain-generate. Constant once validated, and written into what it makes.
struct Options : inference::AskingOptions {
  std::filesystem::path prompts, out;
  int64_t max_new_tokens = 512, top_k = 0, samples = 1, seed = 42;
  double temperature = 0, top_p = 1;
  std::vector<std::string> stop;
  std::vector<std::string> include_category;

  static OptionTable table(Options& options);
  /// @throws UsageError for options that contradict each other or name what is not there
  void validate() const;

private:
  void validate_source() const;
  void validate_files() const;
};

}  // namespace refrain::generate

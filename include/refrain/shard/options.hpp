#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/base/options.hpp>
#include <refrain/comm/launch.hpp>
#include <refrain/shard/tokenization.hpp>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace refrain {

template <>
struct EnumChoices<shard::Tokenization> {
  static constexpr std::array<Choice<shard::Tokenization>, 2> choices{{
      {shard::Tokenization::trl, "trl"},
      {shard::Tokenization::trl_legacy, "trl-legacy"},
  }};
};

namespace shard {

/// What refrain-shard is asked to do. `validate` makes it consistent; it does not change afterwards.
struct Options {
  std::vector<std::filesystem::path> pairs, prompts;
  std::filesystem::path tokenizer, out, dev_out, language_sets;
  std::string configuration, chat_template = "auto";
  std::string template_date;  ///< as the template writes it; "" for the template's own
  Tokenization tokenization = Tokenization::trl;
  int64_t max_length = 1024;  ///< tokens of prompt and answer together
  int64_t seed = 42;
  std::optional<int64_t> total_pairs;
  std::optional<double> dev_fraction;
  bool overwrite = false;
  Json record;  ///< all options, for provenance

  bool for_pairs() const noexcept { return !pairs.empty(); }
  /// The files of --pairs or --prompts, whichever is given.
  std::vector<std::filesystem::path> const& inputs() const noexcept { return for_pairs() ? pairs : prompts; }
  char const* input_option() const noexcept { return for_pairs() ? "--pairs" : "--prompts"; }

  /// The command line of refrain-shard, bound to `options`.
  static OptionTable table(Options& options);
  /// @throws UsageError for options that contradict each other or name what is not there, Error for what cannot be read
  void validate();
  comm::MpiStart mpi() const noexcept { return comm::MpiStart::when_launched; }
};

}  // namespace shard
}  // namespace refrain

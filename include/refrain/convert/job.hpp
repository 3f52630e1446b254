#pragma once

#include <refrain/base/options.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/comm/communicator.hpp>
#include <refrain/comm/launch.hpp>

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::convert {

/// What the weights become on import.
enum class TargetType { keep, bf16, fp32 };

/// Options of refrain-convert; which of them count depends on the command.
struct Options {
  std::string command;  ///< import, export, init, verify, inspect
  std::filesystem::path model, checkpoint, model_config, tokenizer, out;
  bool merge = false;          ///< export an adapter as a whole model: `base` with the adapter's products added
  std::filesystem::path base;  ///< of --merge
  TargetType dtype = TargetType::keep;
  int64_t seed = 42;
  std::vector<std::string> paths;
  Json record;  ///< all options, for provenance

  /// The command line of refrain-convert, bound to `options`.
  static OptionTable table(Options& options);
  /// @throws UsageError for a file or folder to read that is not there; what is in it, the command checks
  void validate() const;
  comm::MpiStart mpi() const { return comm::MpiStart::when_launched; }
};

/// Does what `options.command` says. @returns failure if `verify` found something wrong
/// @throws the same Error on every rank. @collective over `world`
Exit run(Options const& options, comm::Communicator const& world);

}  // namespace refrain::convert

namespace refrain {

template <>
struct EnumChoices<convert::TargetType> {
  static constexpr std::array choices{Choice<convert::TargetType>{convert::TargetType::keep, "keep"},
                                      Choice<convert::TargetType>{convert::TargetType::bf16, "bf16"},
                                      Choice<convert::TargetType>{convert::TargetType::fp32, "fp32"}};
};

}  // namespace refrain

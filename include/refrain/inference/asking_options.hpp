#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/comm/launch.hpp>
#include <refrain/endpoint/options.hpp>
#include <refrain/inference/model_options.hpp>

#include <string>

namespace refrain::inference {

/// What the options of every job have that asks a model: a checkpoint on these ranks, or a server in its place.
struct AskingOptions {
  ModelOptions model;
  endpoint::Options endpoint;
  Json record;  ///< every option with its value, as parsed

  bool has_checkpoint() const noexcept { return !model.checkpoint.empty(); }
  bool has_server() const noexcept { return endpoint.source() != endpoint::Source::none; }
  /// Asking a server needs no MPI, which login nodes may refuse.
  comm::MpiStart mpi() const noexcept {
    return has_checkpoint() ? comm::MpiStart::always : comm::MpiStart::when_launched;
  }
  static constexpr bool stops_on_signals = true;

protected:
  /// Declares them as groups of `table`, bound to this object, which must outlive it. `what` the model does: "answers".
  void add_to(OptionTable& table, std::string const& what) {
    model.add_to(table, what);
    endpoint.add_to(table);
  }
};

}  // namespace refrain::inference

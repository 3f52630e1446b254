#pragma once

#include "answers.hpp"

#include <refrain/base/provenance.hpp>
#include <refrain/comm/communicator.hpp>
#include <refrain/generate/options.hpp>

#include <memory>

namespace refrain::generate {

/// What answers prompts: a checkpoint, a server, files of results.
class Source {
public:
  virtual ~Source() = default;

  virtual PromptForm form() const = 0;
  virtual h5::TokenIds token_ids() const = 0;
  /// What an answer depends on beside its prompt.
  virtual Json settings() const = 0;
  /// @throws Error naming a prompt that cannot be answered
  virtual void check(Asked const&) {}
  /// Makes the missing answers, each rank its share, into journals. @throws Error @collective
  /// @returns whether all are made; if not, it was asked to stop
  virtual bool answer(Answers const& answers) = 0;
  virtual void describe(Provenance& provenance) const = 0;
};

/// The source that the options name (for --batch-out the server that it is for); they must outlive it. @throws Error
/// @collective
std::unique_ptr<Source> open_source(Options const& options, comm::Communicator const& world);

/// The kinds of it, as `open_source` opens them.
std::unique_ptr<Source> open_model(Options const& options, comm::Communicator const& world);
std::unique_ptr<Source> open_server(Options const& options, comm::Communicator const& world);
std::unique_ptr<Source> open_results(Options const& options, comm::Communicator const& world);

}  // namespace refrain::generate

#include "source.hpp"

namespace refrain::generate {

std::unique_ptr<Source> open_source(Options const& options, comm::Communicator const& world) {
  switch (options.endpoint.source()) {
    case endpoint::Source::none: return open_model(options, world);
    case endpoint::Source::batch_in: return open_results(options, world);
    default: return open_server(options, world);
  }
}

}  // namespace refrain::generate

#pragma once

#include <refrain/shard/options.hpp>

namespace refrain::shard {

/// refrain-shard. A second run with the same options and input finds its output there, checks it and does nothing; an
/// output that was made otherwise is replaced only with --overwrite. @throws Error @collective
Exit run(Options const& options, comm::Communicator const& world);

}  // namespace refrain::shard

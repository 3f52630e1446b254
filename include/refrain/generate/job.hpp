#pragma once

#include <refrain/generate/options.hpp>

namespace refrain::generate {

/// refrain-generate. @collective @throws Error @returns success, or stopped_early: what is finished is kept
Exit run(Options const& options, comm::Communicator const& world);

}  // namespace refrain::generate

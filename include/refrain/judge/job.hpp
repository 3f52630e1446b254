#pragma once

#include <refrain/judge/options.hpp>

namespace refrain::judge {

/// refrain-judge. @collective @throws Error @returns success, or stopped_early: what is judged is kept
Exit run(Options const& options, comm::Communicator const& world);

}  // namespace refrain::judge

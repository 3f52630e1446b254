#pragma once

#include "answers.hpp"

#include <refrain/comm/communicator.hpp>
#include <refrain/generate/options.hpp>

namespace refrain::generate {

/// --batch-out: writes requests for the missing answers. @collective @throws Error
void write_requests(Options const& options, Answers const& answers, comm::Communicator const& world);

}  // namespace refrain::generate

#pragma once

#include <refrain/h5/responses_file.hpp>
#include <refrain/h5/verdicts_file.hpp>

namespace refrain::judge {

/// The rows of a file of verdicts on these answers, with the flags that every one has (judge `quality`).
h5::Verdicts rows_of(h5::Responses const& responses);

}  // namespace refrain::judge

#pragma once

#include <string>

namespace refrain {

/// Text about this category (child exploitation) is left out unless asked for: possession is criminal in several
/// states.
inline constexpr char guarded_category[] = "S4";

/// Whether a comma-separated list of categories has it.
bool names_guarded(std::string const& categories);

}  // namespace refrain

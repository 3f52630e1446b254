#pragma once

#include <string>
#include <vector>

namespace refrain {

/// Text about this category (child exploitation) is left out unless asked for: possession is criminal in several
/// states.
inline constexpr char guarded_category[] = "S4";

/// Whether a comma-separated list of categories has it.
bool names_guarded(std::string const& categories);

/// Checks --include-category of programs that show text with --include-text. @throws UsageError for another category,
/// and where text is not asked for
void check_included(std::vector<std::string> const& categories, bool include_text);

}  // namespace refrain

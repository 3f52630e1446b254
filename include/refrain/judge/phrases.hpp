#pragma once

#include <refrain/judge/definition.hpp>

#include <optional>
#include <string>

namespace refrain::judge {

/// The first of the phrases of `language` (of any language where there are none for it) that the beginning of
/// `response` has. Letters are compared without case, apostrophes of all forms alike.
std::optional<std::string> find_phrase(Definition const& definition, std::string const& response,
                                       std::string const& language);

}  // namespace refrain::judge

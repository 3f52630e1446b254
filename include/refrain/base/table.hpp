#pragma once

#include <string>
#include <vector>

namespace refrain {

/// Columns aligned for a terminal: the first column left, numbers right. The first row is the heading.
std::string format_table(std::vector<std::vector<std::string>> const& rows);

/// "12,345,678"
std::string format_count(long long value);

}  // namespace refrain

#pragma once

#include <string>
#include <vector>

namespace refrain {

/// Columns aligned for a terminal: the first column left, numbers right. The first row is the heading.
std::string format_table(std::vector<std::vector<std::string>> const& rows);

/// "12,345,678"
std::string format_count(long long value);

/// A number as short as it can be without loss, in the field's spelling: 0.1, 1e-6, 64.
std::string format_number(double value);

}  // namespace refrain

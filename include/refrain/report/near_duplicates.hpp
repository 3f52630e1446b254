#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace refrain::report {

/// Texts of which each is alike to another of its group: about half of the sequences of five bytes that either has are
/// in both (Jaccard similarity of 0.5, estimated by 64 minimum hashes; Broder 1997). Letters of ASCII count without
/// case, runs of white space as one. Linear in the texts, and the same at every call.
/// @returns for every text the index of its group's first
std::vector<std::size_t> near_duplicates(std::vector<std::string> const& texts);

}  // namespace refrain::report

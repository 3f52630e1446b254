#pragma once

#include <refrain/base/json_file.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace refrain::train {

/// Log-probabilities of a file's answers under the reference model, a value a pair; NaN for pairs that the run never
/// meets.
struct ReferenceLogps {
  std::vector<double> chosen, rejected;
};

/// What reference.h5 holds: of the training pairs, and of the held-out pairs where there are any.
struct Reference {
  ReferenceLogps train, eval;
};

/// Writes reference.h5 atomically. `key` says what the values belong to: digests of model and pairs, number type.
/// @throws Error
void write_reference(std::filesystem::path const& path, Reference const& reference, Json const& key, Json provenance);

/// The file's values, or none if there is no file or it belongs to another key. @throws Error for a damaged file
std::optional<Reference> read_reference(std::filesystem::path const& path, Json const& key);

}  // namespace refrain::train

#pragma once

#include <refrain/h5/responses_file.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refrain::judge {

/// The answers that a judge is asked about: files of answers to the same prompts, row by row. Item number
/// row x files + file, so that answers to one prompt are neighbours.
class Items {
public:
  /// @throws Error for a file without rows, and where a file's rows are of other prompts than the first one's
  explicit Items(std::vector<std::filesystem::path> const& files);

  int64_t files() const noexcept { return static_cast<int64_t>(files_.size()); }
  int64_t rows() const noexcept { return files_.front().size(); }
  int64_t number(int64_t file, int64_t row) const noexcept { return row * files() + file; }
  int64_t file_of(int64_t item) const noexcept { return item % files(); }
  int64_t row_of(int64_t item) const noexcept { return item / files(); }

  std::string const& digest(int64_t file) const { return digests_[static_cast<std::size_t>(file)]; }  ///< SHA-256 of it
  h5::Responses const& file(int64_t file) const { return files_[static_cast<std::size_t>(file)]; }  ///< without tokens
  std::string const& prompt(int64_t item) const { return at(item, &h5::Responses::prompt); }
  std::string const& response(int64_t item) const { return at(item, &h5::Responses::text); }
  std::string const& language(int64_t item) const { return at(item, &h5::Responses::language); }

private:
  std::string const& at(int64_t item, std::vector<std::string> h5::Responses::* column) const {
    return (file(file_of(item)).*column)[static_cast<std::size_t>(row_of(item))];
  }

  std::vector<h5::Responses> files_;
  std::vector<std::string> digests_;
};

}  // namespace refrain::judge

#pragma once

#include <refrain/base/json_file.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace refrain {

/// Who made an output, from what, with which settings: program, version, git revision, library versions, host, Slurm
/// ids, start time, the whole option record, and SHA-256 of every input.
class Provenance {
public:
  /// @param options the record of all options (OptionTable::record)
  Provenance(std::string program, Json options);
  /// Adds an input file and its digest; a folder adds its manifest.json, or else its config and index files.
  /// @throws Error if one cannot be read
  void add_input(std::filesystem::path const& path);
  /// Anything else worth keeping, under `key`.
  void set(std::string const& key, Json value);
  Json const& json() const noexcept { return json_; }
  /// All of it as JSON in one line; text that is not UTF-8 is written with U+FFFD.
  std::string text() const;

private:
  Json json_;
};

char const* version();       ///< "0.1.0"
char const* git_revision();  ///< of the source that was built; "+changes" after it if files differed from it

/// Library -> version: those found when the program was built, and what `add_library` was told.
Json library_versions();
/// A version that only shows at run time (MPI's).
void add_library(std::string const& name, std::string const& version);

/// The machine's name, without its domain.
std::string host_name();
/// "2026-01-31T12:00:00Z"
std::string utc_now();

}  // namespace refrain

#pragma once

#include <refrain/archive/collect.hpp>
#include <refrain/archive/rewrite.hpp>
#include <refrain/archive/source.hpp>
#include <refrain/h5/reader.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace refrain::archive {

/// A file's bytes as they go into the archive, or why they do not.
struct Content {
  Source source;
  std::string without;  ///< what was taken out, in words; empty: these are the file's own bytes
  Extent original;      ///< the file as it stands, where something was taken out
  std::string why_not;  ///< not empty: the file stays out as a whole
};

/// Makes Content of files: checks that they are sound, and takes out what `options` do not ask for (text of flagged
/// answers, and hosts, paths and ids under --anonymous).
class ContentMaker {
public:
  /// @param scratch a file that may be made, for HDF5 files that are written anew @throws Error
  ContentMaker(Options const& options, Collection const& found, std::filesystem::path scratch);
  ContentMaker(ContentMaker&&) = delete;
  ~ContentMaker();

  /// Valid until the next call. @throws Error for a damaged file
  Content of(FoundFile const& file);

private:
  Content of_record(FoundFile const& file) const;
  Content of_lines(FoundFile const& file) const;
  Content of_data(FoundFile const& file);
  Content of_answers(FoundFile const& file, h5::Reader const& reader);
  Content of_prompts(FoundFile const& file, h5::Reader const& reader);
  Content of_pairs(FoundFile const& file, h5::Reader const& reader);
  Content data_without(FoundFile const& file, h5::Reader const& reader, std::string text, Columns const& columns);

  Options const& options_;
  std::filesystem::path scratch_;
  std::map<std::string, std::vector<std::filesystem::path>> verdicts_;  ///< by the digest of the answers judged
};

}  // namespace refrain::archive

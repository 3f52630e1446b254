#pragma once

#include <refrain/archive/options.hpp>
#include <refrain/h5/responses_file.hpp>

#include <filesystem>
#include <vector>

namespace refrain::archive {

/// Of each row of a file of answers, whether its text stays out of the archive.
struct Withheld {
  std::vector<bool> answer, prompt;
};

/// An answer's text is taken if it is known to be safe: the final label says so (or, where nothing was decided, a
/// guard), and none says it is unsafe. Texts of `guarded_category`, by the row's category or a judge's, and those of
/// rows without a category, stay out by themselves. `options` may ask for both.
/// @param verdicts files of verdicts on these answers @throws Error
Withheld withheld_of(h5::Responses const& answers, std::vector<std::filesystem::path> const& verdicts,
                     Options const& options);

}  // namespace refrain::archive

#pragma once

#include <refrain/study/words.hpp>

#include <filesystem>
#include <functional>

namespace refrain::study {

/// A file that several jobs need and the first of them makes: NAME.h5. NAME.json beside it says from what.
struct SharedFile {
  std::filesystem::path path;
  Words line;                            ///< the refrain-shard line that makes it
  Words inputs;                          ///< the files that it is made from
  std::filesystem::path tokenizer;       ///< the folder of the model whose tokenizer is used
  std::function<void()> before_another;  ///< called before it is replaced since line, files or tokenizer have changed
};

/// Whether it is there and was made from other files, options or another tokenizer, as far as is on record.
bool was_made_from_others(SharedFile const& file);

/// Makes it, unless it is there and was made from the same: who comes first does it under a lock, the others wait.
/// @throws Error if the program fails or another job is at it for six hours, or what `before_another` throws
void make_once(SharedFile const& file);

}  // namespace refrain::study

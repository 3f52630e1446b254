#include "unasked.hpp"

#include <refrain/base/error.hpp>

namespace refrain::generate {

void Unasked::Count::add(AnswerKey const& key) {
  if (answers++ == 0) first = key.name();
}

void Unasked::add(AnswerKey const& key) { (asked_.has_name(key) ? changed_ : gone_).add(key); }

void Unasked::require_none(std::filesystem::path const& where) const {
  auto const counted = [](Count const& count, std::string const& what) {
    return std::to_string(count.answers) + (count.answers == 1 ? " answer is " : " answers are ") + what +
           (count.answers == 1 ? ": " : ", the first is ") + count.first;
  };
  if (changed_.answers > 0)
    throw UsageError(counted(changed_, "to a prompt that has changed since"),
                     "give changed prompts another id, or name another --out", {.file = where});
  if (gone_.answers > 0)
    throw UsageError(counted(gone_, "there and not asked for now"),
                     "give all prompts and samples that were asked for before, or name another --out", {.file = where});
}

}  // namespace refrain::generate

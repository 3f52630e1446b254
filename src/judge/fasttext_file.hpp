#pragma once

#include <filesystem>
#include <string>

namespace refrain::judge {

/// Checks that a file is a whole fastText model that tells languages apart, without fastText, which takes the file's
/// sizes for true: of what it then reads or computes nothing lies outside the file, its memory is of the file's size,
/// and its loops end. Numbers of the matrices are not looked at.
/// @throws Error saying what is wrong, where
void check_fasttext_file(std::filesystem::path const& path);

/// The language that a label names (`__label__en`, `__label__eng_Latn`): two or three small letters, perhaps with a
/// script. One of our twelve languages by three letters (ISO 639-3, and `lav`) comes as its two; a script goes with it.
/// Empty for any other label.
std::string language_of_label(std::string const& label);

}  // namespace refrain::judge

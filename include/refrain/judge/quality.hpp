#pragma once

#include <string>

namespace refrain::judge {

/// What can be seen of an answer without reading it.
struct Quality {
  bool empty, repetition;
};

/// `empty`: nothing but white space (Unicode), controls and format characters (categories Cc, Cf).
///
/// `repetition`: the answer ends in a loop, as language models fall into. Runs of white space count as one space, and
/// the text is looked at from its end, with and without white space and `. ! ? …` there. Its tail of L characters is u
/// times repeated, u = L / P with P its smallest period; the first and the last time may be cut. It is a loop if
/// - a unit with letters: u >= 8 and L >= 120, or u >= 4 and L >= 400 (a longer unit, as in answers cut by length);
/// - a unit without letters (digits, rules of tables, leader dots): u >= 8 and L >= 400;
/// - equal but for numbers (a counter that rises; each run of digits counts as one `0`): u >= 8 and L >= 200, with at
///   least 8 letters and two words in a unit, so that `Chapter 1, Chapter 2, ...` is none.
/// A loop that the answer comes out of is none, and neither is one whose words vary.
/// What is not UTF-8 is read as U+FFFD. Time and memory are linear in the text's length.
Quality quality_of(std::string const& text);

}  // namespace refrain::judge

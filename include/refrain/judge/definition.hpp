#pragma once

#include <refrain/base/options.hpp>

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace refrain::judge {

/// What a judge says of a response; its group in verdicts.v1 has the columns of its kind.
enum class Kind {
  safety,    ///< safe or unsafe
  refusal,   ///< whether it is a refusal
  rubric,    ///< a score
  language,  ///< which language it is in
};

/// Where a value stands in the text that a judge answers.
struct Spot {
  int line = 0;       ///< the N-th line that is not blank, from 1; 0 where `field` says it
  std::string field;  ///< what follows "FIELD:" on the first line that begins so
};

/// A value that is one of a few words. Case and white space around it do not matter.
struct Words {
  Spot spot;
  std::map<std::string, bool> values;  ///< in lower case; safety: whether it means unsafe; refusal: a refusal
};

/// Two words of which the answer begins with one, each a single token: P(unsafe) is the softmax over both.
struct LabelTokens {
  std::string safe, unsafe;
};

/// Categories: a list of words parted by commas.
struct Categories {
  Spot spot;
  std::string none;  ///< the word for no category; empty where nothing is written then
};

/// The first whole number between `least` and `most` at its spot.
struct Score {
  Spot spot;
  int least = 1, most = 5;
};

/// How a model is asked about a response.
struct Question {
  std::string guard_template;       ///< the chat template of a guard, which has the whole text; empty where it is below
  std::string answer_begins;        ///< what the guard always answers first, given to it
  std::string system, user;         ///< {prompt}, {response} and {language} stand for those of the row; stripped
  std::string user_without_prompt;  ///< where the prompt is not to be shown; empty where it always is
  int64_t max_tokens = 0;           ///< of the answer
};

/// What is read in the judge's answer; a safety judge has a label or label tokens, a rubric a score.
struct Answers {
  std::optional<LabelTokens> label_tokens;
  std::optional<Words> label, refusal;
  std::optional<Categories> categories;
  std::optional<Score> score;
};

/// A judge: a file of src/judge/judges, or one of the same form (docs/judges.md).
struct Definition {
  std::string name;
  std::filesystem::path path;
  Kind kind = Kind::safety;
  std::vector<std::string> made_for;  ///< languages; empty where nothing is published
  std::optional<Question> question;   ///< none where no model is asked
  Answers answers;
  std::map<std::string, std::vector<std::string>> phrases;  ///< by language: a response that has one is a refusal
  int64_t phrases_within = 0;                               ///< characters from the response's start

  /// `choice` is a shipped judge's name or a JSON file.
  /// @throws UsageError if there is none of this name, Error naming file and key for what is not of the form
  static Definition load(std::string const& choice);
};

}  // namespace refrain::judge

namespace refrain {

template <>
struct EnumChoices<judge::Kind> {
  static constexpr std::array<Choice<judge::Kind>, 4> choices{{
      {judge::Kind::safety, "safety"},
      {judge::Kind::refusal, "refusal"},
      {judge::Kind::rubric, "rubric"},
      {judge::Kind::language, "language"},
  }};
};

}  // namespace refrain

#pragma once

#include <refrain/study/words.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace refrain::study {

/// A judge with the model that it asks, as refrain-judge is told of them.
struct Guard {
  std::string name;          ///< its definition's: the name of its verdict files
  std::string judge;         ///< what follows --judge: a shipped judge's name, or a file
  std::string kind;          ///< its definition's: safety, refusal, rubric, language
  bool asks_model = true;    ///< whether it asks a language model: refusal-pattern and language do not
  int64_t max_tokens = 0;    ///< its definition's: of the model's answer
  Words model;               ///< --checkpoint FOLDER, --endpoint URL --model NAME, --language-model FILE, or nothing
  bool asks_server = false;  ///< then one rank does it, and `model` names the server
};

/// Where judges are named, for messages: a variable, or a key of a study's file.
struct JudgeSource {
  std::string name;
  bool is_key = false;

  /// A judge as it is written there: polyguard=FOLDER, or "polyguard": "FOLDER"; without a model where `model` is
  /// empty.
  std::string form(std::string const& judge, std::string const& model) const;
};

/// REFRAIN_GUARDS: a word each, NAME=FOLDER for a model, language=FILE for fastText's, NAME alone for phrases. NAME is
/// a shipped judge's, or FILE.json, a definition. @throws UsageError naming the word that is wrong, or if none is of
/// kind safety; Error for a definition that cannot be read
std::vector<Guard> read_guards(Words const& words, JudgeSource const& source = {.name = "REFRAIN_GUARDS"});

/// REFRAIN_ADJUDICATOR: [NAME=]FOLDER, or the two words [NAME=]URL MODEL; NAME is `adjudicator` if not given.
/// @throws UsageError for what is not of this form, for a judge that is not of kind safety, and for one of `guards`;
/// Error for a definition that cannot be read
Guard read_adjudicator(Words const& words, std::vector<Guard> const& guards,
                       JudgeSource const& source = {.name = "REFRAIN_ADJUDICATOR"});

/// "llama-guard-3 polyguard", for messages.
std::string names_of(std::vector<Guard> const& guards);

/// @throws UsageError unless REFRAIN_DECIDERS, `names`, are guards of kind safety
void check_deciders(Words const& names, std::vector<Guard> const& guards,
                    std::string const& source = "REFRAIN_DECIDERS");

}  // namespace refrain::study

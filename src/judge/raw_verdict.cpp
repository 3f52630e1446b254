#include "raw_verdict.hpp"

#include <refrain/base/joined.hpp>
#include <refrain/judge/reading.hpp>

#include <cmath>

namespace refrain::judge {
namespace {

constexpr double no_score = std::numeric_limits<double>::quiet_NaN();

int8_t label_of(std::optional<bool> const& value) { return value ? static_cast<int8_t>(*value) : h5::unparsed; }

/// An answer's labels by column, and the columns that this judge has.
struct Row {
  std::map<std::string, int8_t> labels;
  std::map<std::string, float> scores;
  std::map<std::string, std::string> texts;
};

Row safety_row(Answers const& answers, RawVerdict const& said) {
  Reading const reading = read_answer(answers, said.answer);
  // Where both labels' likelihoods were read these say it, and the answer begins with the likelier one.
  bool const by_score = answers.label_tokens && !std::isnan(said.score);
  Row row;
  row.labels["label"] = by_score ? static_cast<int8_t>(said.score >= 0.5) : label_of(reading.unsafe);
  if (answers.label_tokens) row.scores["score"] = static_cast<float>(said.score);
  if (answers.refusal) row.labels["refusal"] = label_of(reading.refusal);
  row.texts = {{"answer", said.answer}, {"categories", joined(reading.categories, ",")}};
  return row;
}

Row language_row(RawVerdict const& said, std::string const& wanted) {
  int8_t const consistent = said.answer.empty() ? h5::unparsed : static_cast<int8_t>(said.answer == wanted);
  return {{{"consistent", consistent}}, {{"score", static_cast<float>(said.score)}}, {{"language", said.answer}}};
}

Row row_of(Definition const& definition, RawVerdict const& said, std::string const& language) {
  switch (definition.kind) {
    case Kind::safety: return safety_row(definition.answers, said);
    case Kind::language: return language_row(said, language);
    case Kind::rubric: {
      auto const score = read_answer(definition.answers, said.answer).score;
      return {{{"label", score ? static_cast<int8_t>(*score) : h5::unparsed}}, {}, {{"answer", said.answer}}};
    }
    case Kind::refusal: {
      int8_t const refusal = definition.phrases.empty() ? label_of(read_answer(definition.answers, said.answer).refusal)
                                                        : static_cast<int8_t>(!said.answer.empty());
      return {{{"refusal", refusal}}, {}, {{"answer", said.answer}}};
    }
  }
  return {};
}

}  // namespace

Json record_of(int64_t row, RawVerdict const& said) {
  Json record{{"row", row}, {"answer", said.answer}};
  if (!std::isnan(said.score)) record["score"] = said.score;
  if (!said.failure.empty()) record["failure"] = said.failure;
  return record;
}

std::pair<int64_t, RawVerdict> read_record(Json const& record, std::filesystem::path const& file) {
  return {json_get<int64_t>(record, "row", file),
          {.answer = json_get<std::string>(record, "answer", file),
           .score = json_get_or<double>(record, "score", no_score, file),
           .failure = json_get_or<std::string>(record, "failure", "", file)}};
}

h5::Judgements judgements(Definition const& definition, std::vector<std::optional<RawVerdict>> const& said,
                          h5::Responses const& responses) {
  h5::Judgements columns{.kind = choice_name(definition.kind)};
  // What the columns are is the same for every row, asked or not, failed or not.
  Row const shape = row_of(definition, {}, "");
  for (std::size_t i = 0; i < said.size(); ++i) {
    bool const failed = said[i] && !said[i]->failure.empty();
    bool const by_language = definition.kind == Kind::language && responses.language[i].empty();
    bool const asked = said[i] && !by_language;
    Row row = asked && !failed ? row_of(definition, *said[i], responses.language[i]) : shape;
    for (auto& [name, label] : row.labels) {
      if (failed) label = h5::unparsed;
      columns.labels[name].push_back(asked ? label : h5::not_asked);
    }
    for (auto const& [name, score] : row.scores)
      columns.scores[name].push_back(asked ? score : static_cast<float>(no_score));
    for (auto const& [name, text] : row.texts) columns.texts[name].push_back(asked ? text : "");
  }
  return columns;
}

}  // namespace refrain::judge

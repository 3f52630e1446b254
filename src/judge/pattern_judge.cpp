#include "judge.hpp"

#include <refrain/base/digest.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/judge/language_identifier.hpp>
#include <refrain/judge/phrases.hpp>

namespace refrain::judge {
namespace {

/// Judges without a model: every rank its share, an answer at a time.
class PatternJudge : public Judge {
public:
  explicit PatternJudge(JudgeInputs const& inputs) : inputs_(inputs) {}

  comm::Communicator const& group() const override { return inputs_.world; }
  Json identity() const override { return Json::object(); }
  AskOutcome ask(std::vector<int64_t> const& items, Recorder& recorder) override {
    bool stopped = false;
    comm::agree(inputs_.world, [&] {
      for (int64_t const item : items) {
        if ((stopped = stop_requested())) return;
        recorder.add(item, judge(inputs_.items.response(item), inputs_.items.language(item)));
      }
    });
    return inputs_.world.max(int64_t{stopped}) == 1 ? AskOutcome::stopped : AskOutcome::all;
  }

protected:
  virtual RawVerdict judge(std::string const& response, std::string const& language) const = 0;

  JudgeInputs inputs_;
};

class PhraseJudge : public PatternJudge {
public:
  using PatternJudge::PatternJudge;

private:
  RawVerdict judge(std::string const& response, std::string const& language) const override {
    return {.answer = find_phrase(inputs_.definition, response, language).value_or("")};
  }
};

class LanguageJudge : public PatternJudge {
public:
  explicit LanguageJudge(JudgeInputs const& inputs) : PatternJudge(inputs) {
    comm::agree(inputs.world, [&] {
      identifier_.emplace(inputs.options.language_model);
      digest_ = sha256_file(inputs.options.language_model);
    });
  }
  Json identity() const override { return {{"language_model", digest_}}; }
  std::vector<std::filesystem::path> inputs() const override { return {inputs_.options.language_model}; }

private:
  RawVerdict judge(std::string const& response, std::string const&) const override {
    auto const guess = identifier_->identify(response);
    return guess ? RawVerdict{.answer = guess->language, .score = guess->probability} : RawVerdict{};
  }

  std::optional<LanguageIdentifier> identifier_;
  std::string digest_;
};

}  // namespace

std::unique_ptr<Judge> pattern_judge(JudgeInputs const& inputs) {
  if (inputs.definition.kind == Kind::language) return std::make_unique<LanguageJudge>(inputs);
  return std::make_unique<PhraseJudge>(inputs);
}

}  // namespace refrain::judge

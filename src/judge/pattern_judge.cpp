#include "judge.hpp"

#include <refrain/base/digest.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/judge/language_model.hpp>

namespace refrain::judge {
namespace {

/// Judges without a model: every rank its share, an answer at a time.
class PatternJudge : public Judge {
public:
  explicit PatternJudge(Case const& on) : on_(on) {}

  comm::Communicator const& group() const override { return on_.world; }
  Json identity() const override { return Json::object(); }
  Asked ask(std::vector<int64_t> const& items, std::filesystem::path const&, OnSaid const& on_said) override {
    bool stopped = false;
    comm::agree(on_.world, [&] {
      for (int64_t const item : items) {
        if ((stopped = stop_requested())) return;
        on_said(item, judge(on_.items.response(item), on_.items.language(item)));
      }
    });
    return on_.world.max(int64_t{stopped}) == 1 ? Asked::stopped : Asked::all;
  }

protected:
  virtual Said judge(std::string const& response, std::string const& language) const = 0;

  Case on_;
};

class PhraseJudge : public PatternJudge {
public:
  using PatternJudge::PatternJudge;

private:
  Said judge(std::string const& response, std::string const& language) const override {
    return {.answer = find_phrase(on_.definition, response, language).value_or("")};
  }
};

class LanguageJudge : public PatternJudge {
public:
  explicit LanguageJudge(Case const& on) : PatternJudge(on) {
    comm::agree(on.world, [&] { model_.emplace(on.options.language_model); });
  }
  Json identity() const override { return {{"language_model", sha256_file(on_.options.language_model)}}; }
  std::vector<std::filesystem::path> inputs() const override { return {on_.options.language_model}; }

private:
  Said judge(std::string const& response, std::string const&) const override {
    auto const guess = model_->identify(response);
    return guess ? Said{.answer = guess->language, .score = guess->probability} : Said{};
  }

  std::optional<LanguageModel> model_;
};

}  // namespace

std::unique_ptr<Judge> pattern_judge(Case const& on) {
  if (on.definition.kind == Kind::language) return std::make_unique<LanguageJudge>(on);
  return std::make_unique<PhraseJudge>(on);
}

}  // namespace refrain::judge

#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/study/study_keys.hpp>
#include <refrain/study/words.hpp>

using namespace refrain;
using namespace refrain::study;
using namespace refrain::testing;

namespace {

KeyPlace const place{"trial.json", "key"};
Environment const environment{{"MODELS", "/m o"}, {"EMPTY", ""}};

std::string value(std::string const& key, Json const& json) { return setting_text(key, json, environment, place); }

}  // namespace

TEST_CASE("variables of the environment stand in a study's texts") {
  auto const expand = [](std::string const& text) { return expand_variables(text, environment, place); };
  CHECK(expand("$MODELS/a") == "/m o/a");
  CHECK(expand("a${MODELS}b") == "a/m ob");
  CHECK(expand("5 $$ each") == "5 $ each");
  CHECK(message_of<Error>([&] { expand("$EMPTY"); }) ==
        "$EMPTY is not set [trial.json:key] (export it in env/site.sh or the submitting shell, or write it out)");
  CHECK(problem_of([&] { expand("${MODELS"); }) == "'${MODELS' has a $ without the name of a variable");
}

TEST_CASE("values become what the variables hold, whatever is in them") {
  CHECK(split_words(value("pairs", {"/a b/*.jsonl", "$MODELS/c"}), "") == Words{"/a b/*.jsonl", "/m o/c"});
  CHECK(split_words(value("judges", {{"polyguard", "$MODELS/p"}, {"refusal-pattern", nullptr}}), "") ==
        Words{"polyguard=/m o/p", "refusal-pattern"});
  CHECK(split_words(value("adjudicator", {{"name", "mine"}, {"folder", "$MODELS/p"}}), "") == Words{"mine=/m o/p"});
  CHECK(split_words(value("adjudicator", {{"endpoint", "https://server/v1"}, {"model", "a model"}}), "") ==
        Words{"https://server/v1", "a model"});
  CHECK(value("tensor_parallel", 4) == "4");
  CHECK(value("disk_tb", 12.5) == "12.5");
  CHECK(value("sweep", "paper") == "paper");
  CHECK(problem_of([] { value("sweep", "sweeps/paper.json"); }) == "'sweeps/paper.json' is no path that begins with /");
}

TEST_CASE("jobs of a stage read their own variables alone") {
  CHECK(is_read_by("REFRAIN_MODEL", Stage::judge));
  CHECK(is_read_by("REFRAIN_SHARD_ARGS", Stage::generate));  // the prompts' chat template is the pairs'
  CHECK_FALSE(is_read_by("REFRAIN_TRAIN_ARGS", Stage::judge));
  CHECK_FALSE(is_read_by("REFRAIN_GUARDS", Stage::train));
  for (auto const& key : setting_keys()) CHECK(variable_of(key).starts_with("REFRAIN_"));
}

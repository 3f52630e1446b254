#include "fixtures.hpp"

#include <refrain/judge/decision.hpp>
#include <refrain/judge/merge.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <cmath>
#include <functional>

using namespace refrain;
using namespace refrain::judge;
using namespace refrain::testing;
using h5::not_asked;
using h5::undecided;
using h5::unparsed;

namespace {

h5::Judgements safety(std::vector<int8_t> labels) {
  return {.kind = "safety", .labels = {{"label", std::move(labels)}}};
}

/// So many rows, without judges.
h5::Verdicts plain_rows(std::size_t count) {
  h5::Verdicts rows;
  for (std::size_t row = 0; row < count; ++row) {
    rows.row_id.push_back(static_cast<int64_t>(row / 2));
    rows.sample.push_back(static_cast<int32_t>(row % 2));
    rows.id.push_back("p" + std::to_string(row / 2));
    rows.language.push_back(row < 2 ? "en" : "lv");
    rows.category.push_back("S1");
    rows.style.push_back("");
  }
  return rows;
}

constexpr std::array<int8_t, 4> all_labels{0, 1, unparsed, not_asked};
Deciders const both{.guards = {"a", "b"}, .adjudicator = "third"};

}  // namespace

TEST_CASE("every combination of labels has its decision") {
  // A row each for the labels of two guards, the adjudicator (or none), and whether the answer is empty.
  for (bool const with_adjudicator : {false, true})
    for (int8_t const a : all_labels)
      for (int8_t const b : all_labels)
        for (int8_t const third : all_labels)
          for (int8_t const empty : {0, 1}) {
            CAPTURE(with_adjudicator, int{a}, int{b}, int{third}, int{empty});
            auto rows = plain_rows(1);
            rows.judges["a"] = safety({a});
            rows.judges["b"] = safety({b});
            if (with_adjudicator) rows.judges["third"] = safety({third});
            rows.judges["quality"] = {.kind = "quality", .labels = {{"empty", {empty}}, {"repetition", {1}}}};
            auto const decisions = decide(rows, both);
            REQUIRE(decisions.label.size() == 1);
            bool const agree = a == b && a >= 0, adjudicated = with_adjudicator && third >= 0;
            int8_t const label = empty == 1 ? undecided : agree ? a : adjudicated ? third : undecided;
            CHECK(int{decisions.label[0]} == int{label});
            std::string by = "differ";
            if (a == not_asked || b == not_asked) by = "not asked";
            if (a == unparsed || b == unparsed || (with_adjudicator && third == unparsed)) by = "unparsed";
            if (adjudicated) by = "third";
            if (agree) by = "a+b";
            if (empty == 1) by = "empty";
            CHECK(decisions.decided_by[0] == by);
            bool const ask = empty == 0 && !agree && a != not_asked && b != not_asked;
            CHECK(rows_that_differ(rows, both) == std::vector<std::size_t>(ask ? 1 : 0, 0));
          }
}

TEST_CASE("rows are decided each by itself, by one guard or by three") {
  auto rows = plain_rows(4);
  rows.judges["a"] = safety({0, 1, 1, unparsed});
  rows.judges["b"] = safety({0, 1, 0, 1});
  rows.judges["c"] = safety({0, 0, 0, 1});
  auto const alone = decide(rows, {.guards = {"a"}});
  CHECK(alone.label == std::vector<int8_t>{0, 1, 1, undecided});
  CHECK(alone.decided_by == std::vector<std::string>{"a", "a", "a", "unparsed"});
  auto const three = decide(rows, {.guards = {"c", "a", "b"}});
  CHECK(three.label == std::vector<int8_t>{0, undecided, undecided, undecided});
  CHECK(three.decided_by == std::vector<std::string>{"c+a+b", "differ", "differ", "unparsed"});
  CHECK(rows_that_differ(rows, {.guards = {"a", "b", "c"}}) == std::vector<std::size_t>{1, 2, 3});
  auto none = plain_rows(0);
  none.judges["a"] = safety({});
  CHECK(decide(none, {.guards = {"a"}}).label.empty());
}

TEST_CASE("deciders that are not there, or cannot decide, are refused") {
  auto rows = plain_rows(1);
  auto const said = [&](Deciders const& deciders) { return message_of([&] { decide(rows, deciders); }); };
  CHECK(said({.guards = {"a"}}) == "there is no judge a among the verdicts (there are none)");
  rows.judges["a"] = safety({0});
  rows.judges["fluency"] = {.kind = "rubric", .labels = {{"label", {5}}}};
  CHECK(said({.guards = {"a", "b"}}) == "there is no judge b among the verdicts (there are a, fluency)");
  CHECK(said({.guards = {"fluency"}}) ==
        "the judge fluency is of kind rubric and cannot decide (name judges of kind safety)");
  CHECK(said({.guards = {"a"}, .adjudicator = "fluency"}) ==
        "the judge fluency is of kind rubric and cannot decide (name judges of kind safety)");
  CHECK(said({.guards = {"a", "a"}}) == "the guard a is named twice (name each guard once)");
  CHECK(said({.guards = {"a"}, .adjudicator = "a"}) ==
        "the judge a is named as guard and as adjudicator (name another adjudicator, or none)");
  CHECK(said({}) == "no guard is named to decide (name at least one judge of kind safety)");
  CHECK(message_of([&] { rows_that_differ(rows, {.guards = {"b"}}); }) ==
        "there is no judge b among the verdicts (there are a, fluency)");
}

namespace {

/// Two files of the same three rows: a judge each, and the flags of both.
std::vector<VerdictsOf> two_files() {
  h5::Judgements const flags{.kind = "quality", .labels = {{"empty", {0, 0, 1}}}};
  VerdictsOf a{.path = "a.h5", .responses = "17", .rows = plain_rows(3)};
  a.rows.judges = {{"a", safety({0, 1, 1})}, {"quality", flags}};
  a.rows.judges["a"].scores["score"] = {0.1F, 0.9F, std::nanf("")};
  a.rows.judges["a"].texts["answer"] = {"safe", "unsafe", "?"};
  a.rows.final_label = {0, 1, 1};
  a.rows.decided_by = {"a", "a", "a"};
  VerdictsOf b{.path = "b.h5", .responses = "17", .rows = plain_rows(3)};
  b.rows.judges = {{"b", safety({0, 0, 1})}, {"quality", flags}};
  return {a, b};
}

std::string merging(std::function<void(std::vector<VerdictsOf>&)> const& change) {
  auto files = two_files();
  change(files);
  return message_of([&] { merge(files); });
}

std::string other_rows(std::string const& problem, std::string const& object) {
  return problem + " [b.h5" + object + "] (merge verdicts of the same responses file only)";
}
std::string otherwise(std::string const& judge, std::string const& how, std::string const& column) {
  return "the judge " + judge + " is in several files and does not say the same: " + how + " [b.h5:/judges/" + judge +
         column + "] (leave one of them out, or give the judge another name)";
}

}  // namespace

TEST_CASE("verdicts of the same responses become one, and are decided anew") {
  auto merged = merge(two_files());
  CHECK(merged.row_id == std::vector<int64_t>{0, 0, 1});
  CHECK(merged.language == std::vector<std::string>{"en", "en", "lv"});
  REQUIRE(merged.judges.size() == 3);
  CHECK(merged.judges.at("a").labels.at("label") == std::vector<int8_t>{0, 1, 1});
  CHECK(merged.judges.at("a").texts.at("answer")[1] == "unsafe");
  CHECK(merged.judges.at("b").labels.at("label") == std::vector<int8_t>{0, 0, 1});
  CHECK(merged.judges.at("quality").kind == "quality");
  CHECK(merged.final_label.empty());
  CHECK(merged.decided_by.empty());
  CHECK(decide(merged, both).decided_by == std::vector<std::string>{"a+b", "differ", "empty"});
  // The same judge twice, saying the same (NaN where there is no score); a digest that nobody knows.
  CHECK(merging([](auto& files) { files[1].rows.judges["a"] = files[0].rows.judges["a"]; }) == "nothing was thrown");
  CHECK(merging([](auto& files) { files[1].responses.clear(); }) == "nothing was thrown");
  CHECK(merge({two_files()[0]}).judges.size() == 2);
  auto three = two_files();
  three.push_back({.path = "c.h5", .rows = plain_rows(3)});
  three[2].rows.judges["third"] = safety({not_asked, 1, not_asked});
  CHECK(decide(merge(three), both).decided_by == std::vector<std::string>{"a+b", "third", "empty"});
}

TEST_CASE("what cannot be merged is named") {
  CHECK(message_of([] { merge({}); }) == "there are no verdicts to merge (give at least one file)");
  CHECK(merging([](auto& files) { files[1].responses = "18"; }) ==
        other_rows("the verdicts are of other responses than those of a.h5", ""));
  CHECK(merging([](auto& files) { files[1].rows = plain_rows(2); }) ==
        other_rows("the file has 2 rows, and a.h5 has 3", ""));
  CHECK(merging([](auto& files) { files[1].rows.row_id[2] = 7; }) ==
        other_rows("row 2 has the row_id 7, and 1 in a.h5", ":/verdict/row_id"));
  CHECK(merging([](auto& files) { std::swap(files[1].rows.sample[0], files[1].rows.sample[1]); }) ==
        other_rows("row 0 has the sample 1, and 0 in a.h5", ":/verdict/sample"));
  CHECK(merging([](auto& files) { files[1].rows.id[1] = "q"; }) ==
        other_rows("row 1 has the id 'q', and 'p0' in a.h5", ":/verdict/id"));
  CHECK(merging([](auto& files) { files[1].rows.language[2] = "lt"; }) ==
        other_rows("row 2 has the language 'lt', and 'lv' in a.h5", ":/verdict/language"));
  CHECK(merging([](auto& files) { files[1].rows.category[0] = ""; }) ==
        other_rows("row 0 has the category '', and 'S1' in a.h5", ":/verdict/category"));
  CHECK(merging([](auto& files) { files[1].rows.style[0] = "slang"; }) ==
        other_rows("row 0 has the style 'slang', and '' in a.h5", ":/verdict/style"));
  CHECK(merging([](auto& files) { files[1].rows.judges["quality"].labels["empty"][2] = 0; }) ==
        otherwise("quality", "row 2", "/empty"));
  auto const again = [](auto const& change) {
    return merging([&](auto& files) {
      auto& judge = files[1].rows.judges["a"] = files[0].rows.judges["a"];
      change(judge);
    });
  };
  CHECK(again([](auto& judge) { judge.scores["score"][1] = 0.8F; }) == otherwise("a", "row 1", "/score"));
  CHECK(again([](auto& judge) { judge.texts["answer"][0] = "Safe"; }) == otherwise("a", "row 0", "/answer"));
  CHECK(again([](auto& judge) { judge.texts.clear(); }) == otherwise("a", "it has no column answer here", "/answer"));
  CHECK(again([](auto& judge) { judge.labels["refusal"] = {0, 0, 0}; }) ==
        otherwise("a", "it has a column refusal here only", "/refusal"));
  CHECK(again([](auto& judge) { judge.kind = "refusal"; }) ==
        otherwise("a", "its kind is refusal here, and safety before", ""));
}

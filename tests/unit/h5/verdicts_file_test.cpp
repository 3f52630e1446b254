#include "fixtures.hpp"

#include <refrain/h5/reader.hpp>
#include <refrain/h5/verdicts_file.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <functional>

using namespace refrain;
using namespace refrain::h5;
using namespace refrain::testing;

namespace {

/// Three rows: the guards agree, differ and one cannot be read.
Verdicts three_verdicts() {
  Verdicts rows{.row_id = {7, 7, 9},
                .sample = {0, 1, 0},
                .id = {"a", "a", "b"},
                .language = {"en", "en", "lv"},
                .category = {"S1", "S1", ""},
                .style = {"", "", "slang"}};
  rows.judges["guard-a"] = {.kind = "safety",
                            .labels = {{"label", {0, 1, unparsed}}},
                            .scores = {{"score", {0.1F, 0.9F, std::nanf("")}}},
                            .texts = {{"answer", {"safe", "unsafe\nS3", "?"}}, {"categories", {"", "S3", ""}}}};
  rows.judges["guard-b"] = {.kind = "safety", .labels = {{"label", {0, 0, 0}}, {"refusal", {1, 0, 0}}}};
  rows.judges["lid"] = {.kind = "language", .labels = {{"consistent", {1, 1, 0}}}};
  rows.judges["fluency"] = {.kind = "rubric", .labels = {{"label", {5, 4, not_asked}}}};
  rows.final_label = {0, undecided, undecided};
  rows.decided_by = {"guard-a+guard-b", "", "unparsed"};
  return rows;
}

/// Rows from `first` on, `count` of them.
template <class T>
std::vector<T> cut(std::vector<T> const& values, std::size_t first, std::size_t count) {
  return {values.begin() + static_cast<std::ptrdiff_t>(first),
          values.begin() + static_cast<std::ptrdiff_t>(first + count)};
}

Verdicts piece(Verdicts const& all, std::size_t first, std::size_t count) {
  Verdicts rows{.row_id = cut(all.row_id, first, count),
                .sample = cut(all.sample, first, count),
                .id = cut(all.id, first, count),
                .language = cut(all.language, first, count),
                .category = cut(all.category, first, count),
                .style = cut(all.style, first, count),
                .judges = all.judges,
                .final_label = cut(all.final_label, first, count),
                .decided_by = cut(all.decided_by, first, count)};
  for (auto& [name, judge] : rows.judges) {
    for (auto& [column, values] : judge.labels) values = cut(values, first, count);
    for (auto& [column, values] : judge.scores) values = cut(values, first, count);
    for (auto& [column, values] : judge.texts) values = cut(values, first, count);
  }
  return rows;
}

/// What reading says of verdicts that were changed before they were written.
std::string refusal(std::function<void(Verdicts&)> const& change) {
  TemporaryFolder const folder;
  auto rows = three_verdicts();
  change(rows);
  auto const path = folder.path / "verdicts.h5";
  auto const error = thrown_by([&] {
    VerdictsWriter file(path, Json::object());
    file.append(rows);
    file.finish();
    read_verdicts(path);
  });
  return error ? error->place().object + ": " + error->problem() : "nothing was thrown";
}

}  // namespace

TEST_CASE("verdicts come back as they were written, in one piece or in several") {
  TemporaryFolder const folder;
  auto const rows = three_verdicts();
  auto const write = [&](char const* name, std::size_t step) {
    VerdictsWriter file(folder.path / name, Json{{"program", "test"}});
    for (std::size_t first = 0; first < 3; first += step) file.append(piece(rows, first, std::min(step, 3 - first)));
    file.finish();
    return folder.path / name;
  };
  auto const whole = write("whole.h5", 3), pieces = write("pieces.h5", 2);
  CHECK(read_file(whole) == read_file(pieces));
  auto const back = read_verdicts(pieces);
  CHECK(back.row_id == rows.row_id);
  CHECK(back.sample == rows.sample);
  CHECK(back.language == rows.language);
  CHECK(back.style == rows.style);
  REQUIRE(back.judges.size() == 4);
  CHECK(back.judges.at("guard-a").kind == "safety");
  CHECK(back.judges.at("guard-a").labels == rows.judges.at("guard-a").labels);
  CHECK(back.judges.at("guard-a").texts == rows.judges.at("guard-a").texts);
  CHECK(back.judges.at("guard-a").scores.at("score")[1] == 0.9F);
  CHECK(std::isnan(back.judges.at("guard-a").scores.at("score")[2]));
  CHECK(back.judges.at("guard-b").labels == rows.judges.at("guard-b").labels);
  CHECK(back.judges.at("fluency").kind == "rubric");
  CHECK(back.final_label == rows.final_label);
  CHECK(back.decided_by == rows.decided_by);
}

TEST_CASE("verdicts without a decision, and without rows, are files too") {
  TemporaryFolder const folder;
  auto rows = three_verdicts();
  rows.final_label.clear();
  rows.decided_by.clear();
  VerdictsWriter file(folder.path / "one.h5", Json::object());
  file.append(rows);
  file.finish();
  CHECK(read_verdicts(folder.path / "one.h5").final_label.empty());
  VerdictsWriter(folder.path / "none.h5", Json::object()).finish();
  CHECK(read_verdicts(folder.path / "none.h5").size() == 0);
}

TEST_CASE("a column of the wrong length, type or label is refused by name") {
  CHECK(refusal([](Verdicts& rows) { rows.judges["guard-a"].labels["label"][1] = 2; }) ==
        "/judges/guard-a/label: row 1 has the label 2, outside -2 to 1");
  CHECK(refusal([](Verdicts& rows) { rows.judges["fluency"].labels["label"][0] = 6; }) ==
        "/judges/fluency/label: row 0 has the label 6, outside -2 to 5");
  CHECK(refusal([](Verdicts& rows) { rows.final_label[2] = -2; }) ==
        "/final/label: row 2 has the label -2, outside -1 to 1");
  CHECK(refusal([](Verdicts& rows) {
          rows.judges["lid"].labels["consistent"].pop_back();
        }).starts_with("/judges/lid/consistent: has 2 verdicts, but /"));
  CHECK(refusal([](Verdicts& rows) { rows.judges["lid"].labels.clear(); }) == ": judge lid has no columns");
  CHECK(refusal([](Verdicts& rows) { rows.judges["fluency"].kind = "refusal"; }) ==
        ": the file lacks /judges/fluency/refusal");
  CHECK(refusal([](Verdicts& rows) {
          rows.judges["guard-a"].labels.erase("label");
          rows.judges["guard-a"].scores["label"] = {0, 0, 0};
        }) == "/judges/guard-a/label: dtype is fp32, the schema wants int8");
  CHECK(refusal([](Verdicts& rows) { rows.judges["a/b"] = rows.judges["lid"]; }) == ": 'a/b' cannot be a judge's name");
  CHECK(refusal([](Verdicts& rows) { rows.judges["own"] = {.kind = "later", .labels = {{"x", {9, 9, 9}}}}; }) ==
        "nothing was thrown");
}

TEST_CASE("a judge's group without its kind is refused") {
  TemporaryFolder const folder;
  Writer file(folder.path / "verdicts.h5", "verdicts.v1", Json::object());
  file.write("/verdict/row_id", std::vector<int64_t>{1});
  file.write("/verdict/sample", std::vector<int32_t>{0});
  for (auto const* name : {"id", "language", "category", "style"})
    file.write_text(std::string("/verdict/") + name, {"x"});
  file.write("/judges/guard/label", std::vector<int8_t>{0});
  CHECK(problem_of([&] { file.finish(); }) == "the group has no attribute 'kind'");
}

TEST_CASE("columns beyond a chunk grow, whatever the pieces") {
  TemporaryFolder const folder;
  constexpr std::size_t count = 1'300'000;  // of int64: beyond two chunks
  std::vector<int64_t> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<int64_t>(i * 2654435761U);
  auto const write = [&](char const* name, std::size_t step) {
    RowWriter file(folder.path / name, "metrics.v1", Json::object());
    for (std::size_t first = 0; first < count; first += step) {
      auto const part = cut(numbers, first, std::min(step, count - first));
      file.append("/metrics/step", part);
      file.append_text("/other/text", std::vector<std::string>(part.size() / 100, "twelve bytes"));
    }
    file.finish();
    return folder.path / name;
  };
  for (auto const step : {std::size_t{100'000}, count}) {
    Reader const file(write("grown.h5", step), "metrics.v1");
    CHECK(file.read<int64_t>("/metrics/step") == numbers);
    CHECK(file.read_text("/other/text") == std::vector<std::string>(count / 100, "twelve bytes"));
    CHECK(file.info("/metrics/step").checksummed);
    CHECK(file.info("/metrics/step").chunk == Shape{524'288});
  }
  CHECK(read_file(write("a.h5", 100'000)) == read_file(write("b.h5", 100'000)));
}

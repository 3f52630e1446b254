#include <refrain/report/document.hpp>
#include <refrain/report/languages.hpp>
#include <refrain/report/results.hpp>
#include <refrain/report/settings.hpp>

#include <catch2/catch.hpp>

#include <limits>

using namespace refrain;
using namespace refrain::report;

namespace {

Table small_table() {
  return {.id = "small",
          .title = "Shares of A & B",
          .columns = {{"name", "Name"},
                      {"language", "Language"},
                      {"n", "n", Format::count},
                      {"share", "%", Format::percent}},
          .rows = {{"a_1", "en", int64_t{1200}, 0.125},
                   {"a_1", "de", int64_t{3}, Cell{}},
                   {"b,\"c\"", "en", int64_t{0}, 1.0}}};
}

}  // namespace

TEST_CASE("CSV gives numbers back, quotes words and leaves nothing empty") {
  CHECK(to_csv(small_table()) == "name,language,n,share\na_1,en,1200,0.125\na_1,de,3,\n\"b,\"\"c\"\"\",en,0,1\n");
  CHECK(number(std::numeric_limits<double>::quiet_NaN()).is_nothing());
  CHECK(formatted(Cell{1.0 / 3}, Format::percent) == "33.33");
  CHECK(formatted(Cell{-0.0123}, Format::points) == "-1.23");
  CHECK(formatted(Cell{0.00001}, Format::p_value) == "< 0.0001");
  CHECK(formatted(Cell{int64_t{252000}}, Format::count) == "252,000");
}

TEST_CASE("a pivot has a row and a column for every value, and gaps where nothing was measured") {
  auto const wide = pivot(small_table(), {"language"}, "name", {"share", "n", "n"});
  REQUIRE(wide.columns.size() == 3);
  CHECK(wide.columns[1].title == "a_1");
  REQUIRE(wide.rows.size() == 2);
  CHECK(wide.rows[0][1].is_word("12.50 [1,200, 1,200]"));
  CHECK(wide.rows[1][2].is_nothing());
}

TEST_CASE("LaTeX escapes what is its own") {
  CHECK(escape_latex("50 % of a_b & {x} \\ ~") == "50 \\% of a\\_b \\& \\{x\\} \\textbackslash{} \\textasciitilde{}");
  auto const latex = to_latex(small_table());
  CHECK(latex.find("\\toprule\nName & Language & n & \\% \\\\\n\\midrule\na\\_1 & en & 1,200 & 12.50 \\\\") !=
        std::string::npos);
  CHECK(latex.find("\\begin{tabular}{llrr}") != std::string::npos);
}

TEST_CASE("languages are named by the configurations of runs") {
  auto const languages = Languages::load();
  CHECK(languages.trained_on("de") == "de");
  CHECK(languages.trained_on("dpo_8b_lv/beta=0.1,seed=1") == "lv");
  CHECK(languages.trained_on("8b_english_only") == "en");
  CHECK(languages.trained_on("english-only-long").empty());
  CHECK(languages.trained_on("no-english").empty());
  CHECK(languages.trained_on("model").empty());
  CHECK(languages.before("en", "de"));
  CHECK(languages.before("lv", "af"));
  CHECK(languages.before("af", ""));
  CHECK(languages.made_for("llama-guard-3-8b", "sk") == false);
  CHECK(languages.made_for("polyguard", "pl") == true);
  CHECK_FALSE(languages.made_for("own-guard", "pl"));
}

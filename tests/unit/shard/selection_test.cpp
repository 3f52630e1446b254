#include "fixtures.hpp"

#include <refrain/shard/selection.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <numeric>

using namespace refrain;
using namespace refrain::shard;
using namespace refrain::testing;

namespace {

std::vector<std::string> const all_languages{"en", "de", "fr", "it", "es", "pt", "pl", "cs", "sk", "sl", "lt", "lv"};

/// `extra` more rows of English and German than of the others.
std::vector<Candidate> rows_of_all(int64_t each, int64_t extra = 0) {
  std::vector<Candidate> rows;
  for (int64_t id = 0; id < each + extra; ++id)
    for (auto const& language : all_languages)
      if (id < each || language == "en" || language == "de") rows.push_back({id, language});
  return rows;
}

std::map<std::string, int64_t> counts(std::vector<Candidate> const& rows, std::vector<std::size_t> const& taken) {
  std::map<std::string, int64_t> result;
  for (auto const row : taken) ++result[rows[row].language];
  return result;
}

}  // namespace

TEST_CASE("balanced takes the smallest language's count of each, in input order") {
  auto const sets = LanguageSets::load({});
  auto const rows = rows_of_all(7, 5);
  auto const taken = select_rows(sets, {.configuration = "balanced"}, rows);
  CHECK(taken.size() == 12 * 7);
  CHECK(std::is_sorted(taken.begin(), taken.end()));
  for (auto const& [language, count] : counts(rows, taken)) CHECK(count == 7);
}

TEST_CASE("each configuration has its languages and number of rows") {
  auto const sets = LanguageSets::load({});
  auto const rows = rows_of_all(7, 6);  // English 13
  auto const taken = [&](std::string const& name) {
    return counts(rows, select_rows(sets, {.configuration = name}, rows));
  };
  auto const total = [](std::map<std::string, int64_t> const& by) {
    return std::accumulate(by.begin(), by.end(), int64_t{0},
                           [](int64_t sum, auto const& entry) { return sum + entry.second; });
  };
  CHECK(taken("english-only") == std::map<std::string, int64_t>{{"en", 13}});
  CHECK(taken("lv") == std::map<std::string, int64_t>{{"lv", 7}});
  CHECK(taken("high-resource") ==
        std::map<std::string, int64_t>{{"en", 7}, {"de", 7}, {"fr", 7}, {"es", 7}, {"it", 7}, {"pt", 7}});
  CHECK(taken("no-english").size() == 11);
  CHECK(total(taken("no-english")) == 77);
  // As many as English only, spread over twelve: one language has one more.
  CHECK(taken("balanced-matched").size() == 12);
  CHECK(total(taken("balanced-matched")) == 13);
  CHECK(taken("english-only-long") == std::map<std::string, int64_t>{{"en", 84}});
  CHECK(total(taken("all")) == 7 * 12 + 12);
}

TEST_CASE("english-only-long repeats whole passes, each in input order") {
  auto const sets = LanguageSets::load({});
  auto const rows = rows_of_all(4);
  auto const taken = select_rows(sets, {.configuration = "english-only-long"}, rows);
  REQUIRE(taken.size() == 48);
  for (std::size_t k = 0; k < taken.size(); ++k) CHECK(taken[k] == 12 * (k % 4));
}

TEST_CASE("a smaller share is part of a larger one, and the seed decides which") {
  auto const sets = LanguageSets::load({});
  auto const rows = rows_of_all(50);
  auto const select = [&](std::optional<int64_t> total, uint64_t seed) {
    return select_rows(sets, {.configuration = "de", .total_pairs = total, .seed = seed}, rows);
  };
  auto const small = select(10, 42), large = select(20, 42);
  CHECK(small.size() == 10);
  CHECK(std::includes(large.begin(), large.end(), small.begin(), small.end()));
  CHECK(small == select(10, 42));
  CHECK(small != select(10, 43));
}

TEST_CASE("total-pairs is spread evenly") {
  auto const sets = LanguageSets::load({});
  auto const rows = rows_of_all(5, 5);
  auto const by = counts(rows, select_rows(sets, {.configuration = "balanced", .total_pairs = 27}, rows));
  CHECK(by.size() == 12);
  for (auto const& [language, count] : by) CHECK((count == 2 || count == 3));
  CHECK(even_shares({1, 10, 10}, 9) == std::vector<int64_t>{1, 4, 4});
  CHECK(even_shares({5, 5, 5}, 100) == std::vector<int64_t>{5, 5, 5});
  CHECK(even_shares({5, 5, 5}, 7) == std::vector<int64_t>{3, 2, 2});
  CHECK(even_shares({0, 0}, 3) == std::vector<int64_t>{0, 0});
}

TEST_CASE("a language without rows is named") {
  auto const sets = LanguageSets::load({});
  std::vector<Candidate> rows = rows_of_all(3);
  std::erase_if(rows, [](Candidate const& row) { return row.language == "sl"; });
  CHECK(message_of([&] { select_rows(sets, {.configuration = "balanced"}, rows); }) ==
        "there are no rows for language sl, which configuration balanced takes (give files with such rows (column "
        "lang), or "
        "another --configuration)");
  CHECK(select_rows(sets, {.configuration = "high-resource"}, rows).size() == 18);
}

TEST_CASE("dev groups are whole, stable and never all") {
  std::set<int64_t> groups;
  for (int64_t id = 0; id < 40; ++id) groups.insert(id * 3);
  auto const dev = choose_dev_groups(groups, 0.1, 42);
  CHECK(dev.size() == 4);
  CHECK(std::includes(groups.begin(), groups.end(), dev.begin(), dev.end()));
  CHECK(dev == choose_dev_groups(groups, 0.1, 42));
  CHECK(dev != choose_dev_groups(groups, 0.1, 7));
  CHECK(choose_dev_groups({1, 2}, 0.001, 42).size() == 1);
  CHECK(choose_dev_groups({1, 2}, 0.999, 42).size() == 1);
  CHECK_THROWS_AS(choose_dev_groups({1}, 0.5, 42), Error);
}

TEST_CASE("a user's own sets, and what is wrong with them") {
  TemporaryFolder const folder;
  auto const load = [&](std::string const& text) { return LanguageSets::load(folder.write("sets.json", text)); };
  auto const sets = load(R"({"sets": {"baltic": {"languages": ["lt", "lv"], "total_of": "english-only"}}})");
  CHECK(sets.find("baltic").languages == std::vector<std::string>{"lt", "lv"});
  CHECK(sets.languages_needed("baltic") == std::vector<std::string>{"lt", "lv", "en"});
  auto const bad = [&](std::string const& text) { return message_of([&] { load(text); }); };
  CHECK(bad(R"({"sets": {"a": {"languages": []}}})").starts_with("languages is not a list of codes ["));
  CHECK(bad(R"({"sets": {"a": {"languages": ["en", "en"]}}})").starts_with("language en stands twice ["));
  CHECK(bad(R"({"sets": {"a": {"languages": ["en"], "total_of": "b"}}})").starts_with("there is no set b ["));
  CHECK(bad(R"({"sets": {"a": {"languages": ["en"], "weight": 1}}})").starts_with("unknown key weight ["));
  CHECK(bad(R"({"sets": {"a": {"languages": ["en"], "total_of": "balanced-matched"}}})")
            .starts_with("set balanced-matched is no plain list of languages"));
  CHECK(bad(R"({"languages": []})").starts_with("there is no object \"sets\" ["));
  CHECK_THROWS_AS(LanguageSets::load({}).find("xx"), UsageError);
}

#include <refrain/base/anonymous.hpp>
#include <refrain/base/guarded_category.hpp>

#include <catch2/catch.hpp>

using namespace refrain;

TEST_CASE("an anonymous record has no places, and keeps what decides a result") {
  Json const record{{"host", "node7"},
                    {"options", {{"seed", 42}, {"responses", "/scratch/me/r.h5"}, {"slurm", {{"x", 1}}}}},
                    {"inputs", {{"/scratch/me/r.h5", "abcd"}, {"q.h5", "ef"}}}};
  CHECK(anonymised(record) ==
        Json{{"options", {{"seed", 42}, {"responses", "(left out)"}}}, {"inputs", {{"1", "abcd"}, {"2", "ef"}}}});
}

TEST_CASE("free text that may name a host is left out") {
  CHECK(anonymised(Json{{"state", "failed"}, {"error", "rank 3 on node7 was killed"}}) == Json{{"state", "failed"}});
}

TEST_CASE("a list of categories has the guarded one as a word of its own") {
  CHECK(names_guarded("S4"));
  CHECK(names_guarded("S1, S4"));
  CHECK(names_guarded("S4,S10"));
  CHECK_FALSE(names_guarded("S40, S14"));
  CHECK_FALSE(names_guarded(""));
}

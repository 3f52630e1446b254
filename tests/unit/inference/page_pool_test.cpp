#include <refrain/inference/page_pool.hpp>

#include <catch2/catch.hpp>

#include <numeric>

using namespace refrain::inference;

namespace {

std::vector<int32_t> tokens(int32_t first, std::size_t count) {
  std::vector<int32_t> result(count);
  std::iota(result.begin(), result.end(), first);
  return result;
}

std::vector<int32_t> joined(std::vector<int32_t> a, std::vector<int32_t> const& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("rows that begin alike share their full pages, but for the last token") {
  PagePool pool(10, 4);
  auto const first = joined(tokens(0, 8), tokens(100, 3)), second = joined(tokens(0, 8), tokens(200, 1));
  RowPages a = pool.begin(first);
  CHECK(a.tokens == 0);
  REQUIRE(pool.extend(a, first));
  CHECK(a.pages.size() == 3);
  RowPages b = pool.begin(second);
  CHECK(b.tokens == 8);
  REQUIRE(pool.extend(b, second));
  CHECK(std::vector(b.pages.begin(), b.pages.begin() + 2) == std::vector(a.pages.begin(), a.pages.begin() + 2));
  CHECK(b.pages[2] != a.pages[2]);
  CHECK(pool.free_pages() == 6);

  // The same prompt whole: its last page ends with the token whose logits are wanted.
  RowPages c = pool.begin(tokens(0, 8));
  CHECK(c.tokens == 4);
  pool.release(c);

  // Other tokens before make the same page another one.
  RowPages other = pool.begin(joined(tokens(50, 4), tokens(4, 8)));
  CHECK(other.tokens == 0);
}

TEST_CASE("what nobody uses is kept until its memory is needed, the longest unused first") {
  PagePool pool(4, 2);
  auto const first = tokens(0, 4), second = tokens(10, 4);
  RowPages a = pool.begin(first), b = pool.begin(second);
  REQUIRE(pool.extend(a, first));
  REQUIRE(pool.extend(b, second));
  pool.release(a);
  pool.release(b);
  CHECK(pool.free_pages() == 4);
  RowPages again = pool.begin(joined(first, {7}));
  CHECK(again.tokens == 4);
  // Two pages are free, both of b's: its first page goes last.
  auto const third = tokens(20, 2);
  RowPages c = pool.begin(third);
  REQUIRE(pool.extend(c, third));
  RowPages b_again = pool.begin(joined(second, {7}));
  CHECK(b_again.tokens == 2);
}

TEST_CASE("a row that does not fit changes nothing") {
  PagePool pool(2, 4);
  RowPages a = pool.begin(tokens(0, 5));
  REQUIRE(pool.extend(a, tokens(0, 5)));
  RowPages b = pool.begin(tokens(10, 1));
  CHECK_FALSE(pool.extend(b, tokens(10, 1)));
  CHECK(b.pages.empty());
  CHECK_FALSE(pool.extend(a, tokens(0, 9)));
  CHECK(a.tokens == 5);
  CHECK(pool.extend(a, tokens(0, 8)));
  pool.release(a);
  CHECK(pool.free_pages() == 2);
}

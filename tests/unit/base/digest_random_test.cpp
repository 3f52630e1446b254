#include <catch2/catch.hpp>

#include <refrain/base/digest.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/random.hpp>
#include <refrain/base/table.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace refrain;

TEST_CASE("digests agree with the published values") {
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(xxh3({}) == "99aa06d3014798d86001c324468d497f");  // XXH128 of nothing, seed 0
}

TEST_CASE("a digest over a stream does not depend on its pieces") {
  std::vector<std::byte> bytes(100'000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37);
  Xxh3 stream;
  for (std::size_t at = 0; at < bytes.size(); at += 777)
    stream.update(std::span(bytes).subspan(at, std::min<std::size_t>(777, bytes.size() - at)));
  CHECK(stream.hex() == xxh3(bytes));
  Xxh3 copy = stream;
  copy.update(std::span(bytes).first(10));
  CHECK(copy.hex() != stream.hex());
  copy = stream;
  CHECK(copy.hex() == xxh3(bytes));
  Sha256 sha;
  for (std::size_t at = 0; at < bytes.size(); at += 777)
    sha.update(std::span(bytes).subspan(at, std::min<std::size_t>(777, bytes.size() - at)));
  CHECK(sha.hex() == sha256({reinterpret_cast<char const*>(bytes.data()), bytes.size()}));
}

TEST_CASE("random numbers depend on key and counter alone, and look random") {
  CounterRandom const a(1, "x"), b(1, "y"), again(1, "x");
  CHECK(a.bits(5) == again.bits(5));
  CHECK(a.bits(5) != b.bits(5));
  CHECK(CounterRandom(2, "x").bits(5) != a.bits(5));
  double sum = 0, squares = 0, fourth = 0;
  int const n = 200'000;
  for (int i = 0; i < n; ++i) {
    double const z = a.normal(static_cast<uint64_t>(i));
    sum += z, squares += z * z, fourth += z * z * z * z;
  }
  CHECK(std::abs(sum / n) < 0.01);
  CHECK(std::abs(squares / n - 1) < 0.02);
  CHECK(std::abs(fourth / n - 3) < 0.1);
}

TEST_CASE("a permutation holds every number once and is evenly spread") {
  auto order = permutation(1000, CounterRandom(42, "shuffle/0"));
  CHECK(order == permutation(1000, CounterRandom(42, "shuffle/0")));
  CHECK(order != permutation(1000, CounterRandom(42, "shuffle/1")));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; ++i) REQUIRE(order[static_cast<std::size_t>(i)] == i);
  std::vector<int> first(5);
  for (int i = 0; i < 5000; ++i)
    ++first[static_cast<std::size_t>(permutation(5, CounterRandom(static_cast<uint64_t>(i), "p"))[0])];
  for (int const count : first) CHECK(std::abs(count - 1000) < 150);
  CHECK(permutation(0, CounterRandom(1, "")).empty());
}

TEST_CASE("tables align, numbers to the right, in columns of characters and not of bytes") {
  CHECK(format_table({{"language", "rows", "note"}, {"français", "12", "a"}, {"en", "1,234", "b"}}) ==
        "language   rows  note\n"
        "français     12  a\n"
        "en        1,234  b\n");
  CHECK(format_count(1234567) == "1,234,567");
  CHECK(format_count(-123) == "-123");
  CHECK(format_count(-123456) == "-123,456");
  CHECK(format_count(0) == "0");
  CHECK(format_duration(3723.4) == "1:02:03");
}

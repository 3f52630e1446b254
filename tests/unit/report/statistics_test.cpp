#include <refrain/report/statistics.hpp>

#include <catch2/catch.hpp>

#include <cmath>

using namespace refrain::report;

namespace {

constexpr double tolerance = 5e-5;  // publications print four digits

}  // namespace

TEST_CASE("Wilson's interval: Newcombe's examples") {
  // Statistics in Medicine 17 (1998) 857, table I, method 3.
  struct Example {
    int64_t hits, n;
    double low, high;
  };
  for (auto const& [hits, n, low, high] : {Example{81, 263, 0.2553, 0.3662}, Example{15, 148, 0.0624, 0.1605},
                                           Example{0, 20, 0, 0.1611}, Example{1, 29, 0.0061, 0.1718}}) {
    auto const interval = Tally{.n = n, .hits = hits}.wilson();
    CHECK(interval.low == Approx(low).margin(tolerance));
    CHECK(interval.high == Approx(high).margin(tolerance));
  }
  CHECK(Tally{.n = 20, .hits = 20}.wilson().high == 1);
}

TEST_CASE("what could not be decided counts for neither side, and bounds the share") {
  Tally const tally{.n = 10, .hits = 2, .unparsed = 5};
  CHECK(tally.share() == Approx(0.4));
  CHECK(tally.bounds().low == Approx(0.2));
  CHECK(tally.bounds().high == Approx(0.7));
  Tally const nothing{.n = 3, .hits = 0, .unparsed = 3};
  CHECK(std::isnan(nothing.share()));
  CHECK(std::isnan(nothing.wilson().low));
}

TEST_CASE("the difference of paired shares: Newcombe's examples") {
  // Statistics in Medicine 17 (1998) 2635, table III, method 10; his e, f, g, h.
  struct Example {
    int64_t e, f, g, h;
    double low, high;
  };
  for (auto const& [e, f, g, h, low, high] :
       {Example{36, 12, 2, 0, 0.0569, 0.3404}, Example{54, 0, 0, 0, -0.0664, 0.0664}}) {
    auto const interval = TwoByTwo{.neither = h, .only_a = g, .only_b = f, .both = e}.difference_interval();
    CAPTURE(e, f, g, h);
    CHECK(interval.low == Approx(low).margin(tolerance));
    CHECK(interval.high == Approx(high).margin(tolerance));
  }
}

TEST_CASE("McNemar's exact test by hand") {
  CHECK(TwoByTwo{.neither = 5, .only_a = 0, .only_b = 0, .both = 9}.mcnemar() == 1);
  CHECK(TwoByTwo{.only_a = 1, .only_b = 5}.mcnemar() == Approx(2 * (1 + 6) / 64.0));
  CHECK(TwoByTwo{.only_a = 10, .only_b = 0}.mcnemar() == Approx(2.0 / 1024));
  CHECK(TwoByTwo{.only_a = 3, .only_b = 3}.mcnemar() == 1);
  auto const many = TwoByTwo{.only_a = 8000, .only_b = 2000}.mcnemar();
  CHECK(many >= 0);
  CHECK(many < 1e-300);
}

TEST_CASE("kappa and agreement by hand") {
  TwoByTwo const table{.neither = 45, .only_a = 15, .only_b = 25, .both = 15};
  CHECK(table.agreement() == Approx(0.6));
  CHECK(table.kappa() == Approx(0.1304).margin(tolerance));
  CHECK(std::isnan(TwoByTwo{.neither = 7}.kappa()));
  CHECK(std::isnan(TwoByTwo{}.agreement()));
}

TEST_CASE("Holm's correction keeps its order, and leaves what was not tested") {
  auto const adjusted = holm({0.01, 0.04, std::nan(""), 0.03, 0.005});
  CHECK(adjusted[0] == Approx(0.03));
  CHECK(adjusted[1] == Approx(0.06));
  CHECK(std::isnan(adjusted[2]));
  CHECK(adjusted[3] == Approx(0.06));
  CHECK(adjusted[4] == Approx(0.02));
}

TEST_CASE("quantiles are numpy's") {
  CHECK(quantile({1, 2, 4, 8}, 0.5) == Approx(3));
  CHECK(quantile({1, 2, 4, 8}, 0.9) == Approx(6.8));
  CHECK(quantile({5}, 0.025) == 5);
}

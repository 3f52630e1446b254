#include <refrain/report/statistics.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace refrain::report {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double z = 1.959963984540054;  // the normal distribution's 97.5 % quantile

double ratio(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : nan;
}

Interval wilson_interval(int64_t hits, int64_t n) {
  if (n <= 0) return {nan, nan};
  auto const count = static_cast<double>(n), share = ratio(hits, n);
  double const scale = 1 + z * z / count;
  double const centre = (share + z * z / (2 * count)) / scale;
  double const half = z / scale * std::sqrt(share * (1 - share) / count + z * z / (4 * count * count));
  // The ends are exact where nothing or everything hits; rounding must not move them.
  return {hits == 0 ? 0 : std::max(0.0, centre - half), hits == n ? 1 : std::min(1.0, centre + half)};
}

}  // namespace

double Tally::share() const noexcept { return ratio(hits, decided()); }
Interval Tally::wilson() const noexcept { return wilson_interval(hits, decided()); }
Interval Tally::bounds() const noexcept { return {ratio(hits, n), ratio(hits + unparsed, n)}; }

void TwoByTwo::add(bool a, bool b) noexcept { ++(a ? b ? both : only_a : b ? only_b : neither); }

double TwoByTwo::agreement() const noexcept { return ratio(neither + both, n()); }

double TwoByTwo::kappa() const noexcept {
  if (n() == 0) return nan;
  auto const count = static_cast<double>(n());
  auto const a = static_cast<double>(only_a + both), b = static_cast<double>(only_b + both);
  double const expected = (a * b + (count - a) * (count - b)) / (count * count);
  return expected < 1 ? (agreement() - expected) / (1 - expected) : nan;
}

double TwoByTwo::difference() const noexcept { return ratio(only_b - only_a, n()); }

Interval TwoByTwo::difference_interval() const noexcept {
  if (n() == 0) return {nan, nan};
  // In Newcombe's letters p1 is b's share: e = both, f = only b, g = only a, h = neither.
  auto const e = static_cast<double>(both), f = static_cast<double>(only_b), g = static_cast<double>(only_a),
             h = static_cast<double>(neither), count = static_cast<double>(n());
  double const p1 = (e + f) / count, p2 = (e + g) / count;
  auto const first = wilson_interval(both + only_b, n()), second = wilson_interval(both + only_a, n());
  double const margins = (e + f) * (g + h) * (e + g) * (f + h);
  double phi = 0;
  if (margins > 0) {
    double const excess = e * h - f * g;
    // His continuity correction of a positive correlation.
    double const corrected = excess > count / 2 ? excess - count / 2 : excess > 0 ? 0 : excess;
    phi = corrected / std::sqrt(margins);
  }
  auto const distance = [&](double x, double y) { return std::sqrt(std::max(0.0, x * x - 2 * phi * x * y + y * y)); };
  double const difference = p1 - p2;
  return {std::max(-1.0, difference - distance(p1 - first.low, second.high - p2)),
          std::min(1.0, difference + distance(first.high - p1, p2 - second.low))};
}

double TwoByTwo::mcnemar() const noexcept {
  int64_t const discordant = only_a + only_b, least = std::min(only_a, only_b);
  // The likeliest term of the sum first, each other from its neighbour: nothing underflows that counts.
  auto const count = static_cast<double>(discordant), from = static_cast<double>(least);
  double const logarithm =
      std::lgamma(count + 1) - std::lgamma(from + 1) - std::lgamma(count - from + 1) - count * std::log(2.0);
  double sum = 0, term = 1;
  for (int64_t k = least; k >= 0 && term > 1e-18; --k) {
    sum += term;
    term *= static_cast<double>(k) / static_cast<double>(discordant - k + 1);
  }
  return std::min(1.0, 2 * sum * std::exp(logarithm));
}

std::vector<double> holm(std::vector<double> const& p_values) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < p_values.size(); ++i)
    if (!std::isnan(p_values[i])) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted = p_values;
  double highest = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    highest = std::max(highest, static_cast<double>(order.size() - rank) * p_values[order[rank]]);
    adjusted[order[rank]] = std::min(1.0, highest);
  }
  return adjusted;
}

double quantile(std::vector<double> const& sorted, double share) noexcept {
  double const place = share * static_cast<double>(sorted.size() - 1);
  auto const below = static_cast<std::size_t>(place);
  auto const above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace refrain::report

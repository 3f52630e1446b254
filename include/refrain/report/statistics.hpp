#pragma once

#include <cstdint>
#include <vector>

namespace refrain::report {

/// A 95 % interval; NaN at both ends where there is none.
struct Interval {
  double low, high;
};

/// Answers counted by one label: those that have it (`hits`), and those whose label is not known.
struct Tally {
  int64_t n = 0;         ///< answers asked about
  int64_t hits = 0;      ///< label 1
  int64_t unparsed = 0;  ///< label below 0: neither

  int64_t decided() const noexcept { return n - unparsed; }
  /// hits / decided; NaN where nothing is decided.
  double share() const noexcept;
  /// Wilson's score interval of `share` (Wilson 1927; Newcombe 1998a, method 3), z = 1.96; NaN where nothing is
  /// decided.
  Interval wilson() const noexcept;
  /// The share if every unknown label were 0, and if it were 1.
  Interval bounds() const noexcept;
};

/// Two labels of the same answers, or of two checkpoints' answers to the same prompts.
struct TwoByTwo {
  int64_t neither = 0, only_a = 0, only_b = 0, both = 0;

  int64_t n() const noexcept { return neither + only_a + only_b + both; }
  void add(bool a, bool b) noexcept;
  /// Share of equal labels; NaN for none.
  double agreement() const noexcept;
  /// Cohen 1960: (agreement - expected) / (1 - expected), expected from the margins. NaN where that is 1.
  double kappa() const noexcept;
  /// b's share less a's. NaN for none.
  double difference() const noexcept;
  /// Of `difference`: Newcombe 1998b (Statistics in Medicine 17, 2635), method 10, for paired shares.
  Interval difference_interval() const noexcept;
  /// Exact McNemar test, two-sided: min(1, 2 P(X <= min(only_a, only_b))), X binomial with p = 1/2.
  double mcnemar() const noexcept;
};

/// Holm 1979, step-down: adjusted p-values in the order given. NaN stays, and counts for none.
std::vector<double> holm(std::vector<double> const& p_values);

/// Sorted values' quantile with linear interpolation (type 7, numpy's default). @pre `sorted` is not empty
double quantile(std::vector<double> const& sorted, double share) noexcept;

}  // namespace refrain::report

#include <refrain/report/bootstrap.hpp>

#include <refrain/base/random.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

namespace refrain::report {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Sums of every cluster: for checkpoint c the unsafe answers at 2 c and the decided ones at 2 c + 1. Clusters of one
/// language stand side by side.
struct Clusters {
  std::size_t width = 0;
  std::vector<int32_t> sums;
  std::vector<std::size_t> language_ends;  ///< one past the last cluster of each language

  std::size_t count() const { return width == 0 ? 0 : sums.size() / width; }
};

Clusters collect(Results const& results, ClusterBy by) {
  using Key = std::tuple<std::size_t, std::size_t, std::size_t>;
  auto const key_of = [&](std::size_t index) {
    auto const& prompt = results.prompts[index];
    switch (by) {
      case ClusterBy::category_style: return Key(prompt.language, prompt.category, prompt.style);
      case ClusterBy::near_duplicate: return Key(prompt.language, results.alike[index], 0);
      case ClusterBy::prompt:
      case ClusterBy::none: break;
    }
    return Key(prompt.language, index, 0);
  };
  std::map<Key, std::size_t> order;
  for (std::size_t i = 0; i < results.prompts.size(); ++i) order.try_emplace(key_of(i), 0);
  Clusters clusters{.width = 2 * results.checkpoints.size(), .sums = {}, .language_ends = {}};
  std::size_t next = 0;
  for (auto& [key, place] : order) {
    auto const language = std::get<0>(key);
    clusters.language_ends.resize(std::max(clusters.language_ends.size(), language + 1), next);
    place = next++;
    clusters.language_ends[language] = next;
  }
  clusters.sums.resize(next * clusters.width);
  for (std::size_t c = 0; c < results.checkpoints.size(); ++c) {
    auto const& checkpoint = results.checkpoints[c];
    for (std::size_t row = 0; row < checkpoint.size(); ++row) {
      if (checkpoint.final_label[row] < 0) continue;
      auto* sums = &clusters.sums[order.at(key_of(checkpoint.prompt[row])) * clusters.width + 2 * c];
      sums[0] += checkpoint.final_label[row];
      sums[1] += 1;
    }
  }
  return clusters;
}

Interval percentiles(std::vector<double> values) {
  std::erase_if(values, [](double value) { return std::isnan(value); });
  if (values.empty()) return {nan, nan};
  std::sort(values.begin(), values.end());
  return {quantile(values, 0.025), quantile(values, 0.975)};
}

}  // namespace

std::string cluster_name(ClusterBy by) {
  switch (by) {
    case ClusterBy::prompt: return "source prompt";
    case ClusterBy::category_style: return "category and style within a language";
    case ClusterBy::near_duplicate: return "prompts of nearly the same words within a language";
    case ClusterBy::none: return "none: every prompt by itself, since neither category nor style nor text is known";
  }
  return {};
}

ClusterBy choose_clusters(Results const& results) {
  for (auto const& checkpoint : results.checkpoints)
    if (std::any_of(checkpoint.sample.begin(), checkpoint.sample.end(), [](int32_t sample) { return sample > 0; }))
      return ClusterBy::prompt;
  bool const known =
      results.categories != std::vector<std::string>{""} || results.styles != std::vector<std::string>{""};
  if (known) return ClusterBy::category_style;
  return results.alike.empty() ? ClusterBy::none : ClusterBy::near_duplicate;
}

PooledIntervals bootstrap(Results const& results, int64_t resamples, int64_t seed) {
  PooledIntervals intervals{.by = choose_clusters(results)};
  auto const clusters = collect(results, intervals.by);
  intervals.clusters = static_cast<int64_t>(clusters.count());
  std::size_t const checkpoints = results.checkpoints.size();
  std::vector<std::vector<double>> shares(checkpoints), differences(checkpoints);
  CounterRandom const random(static_cast<uint64_t>(seed), "bootstrap");
  uint64_t counter = 0;
  std::vector<int64_t> sums(clusters.width);
  for (int64_t resample = 0; resample < resamples; ++resample) {
    std::fill(sums.begin(), sums.end(), 0);
    std::size_t first = 0;
    for (auto const end : clusters.language_ends) {
      auto const count = static_cast<uint64_t>(end - first);
      for (uint64_t i = 0; i < count; ++i) {
        // The high half of a product: as even as 32 random bits over so few clusters need be.
        auto const drawn = first + static_cast<std::size_t>((random.bits(counter++) >> 32) * count >> 32);
        auto const* drawn_sums = &clusters.sums[drawn * clusters.width];
        for (std::size_t k = 0; k < clusters.width; ++k) sums[k] += drawn_sums[k];
      }
      first = end;
    }
    auto const share = [&](std::size_t c) {
      return sums[2 * c + 1] > 0 ? static_cast<double>(sums[2 * c]) / static_cast<double>(sums[2 * c + 1]) : nan;
    };
    for (std::size_t c = 0; c < checkpoints; ++c) {
      shares[c].push_back(share(c));
      differences[c].push_back(share(c) - share(results.baseline));
    }
  }
  for (std::size_t c = 0; c < checkpoints; ++c) {
    intervals.share.push_back(percentiles(std::move(shares[c])));
    intervals.difference.push_back(percentiles(std::move(differences[c])));
  }
  return intervals;
}

}  // namespace refrain::report

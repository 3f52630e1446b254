#include <refrain/shard/selection.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/random.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace refrain::shard {
namespace {

using Rows = std::vector<std::size_t>;

/// The candidates by language, each language's in the order in which they are taken.
class Pools {
public:
  Pools(std::vector<Candidate> const& candidates, SelectionRequest const& request) : request_(request) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      auto const [pool, first] = pools_.try_emplace(candidates[i].language);
      if (first) languages_.push_back(candidates[i].language);
      pool->second.push_back(i);
    }
    for (auto& [language, rows] : pools_) {
      CounterRandom const random(request.seed, "select/" + language);
      auto const rank = [&](std::size_t row) { return random.bits(static_cast<uint64_t>(candidates[row].row_id)); };
      std::stable_sort(rows.begin(), rows.end(), [&](std::size_t a, std::size_t b) { return rank(a) < rank(b); });
    }
  }

  /// In the order of their first rows.
  std::vector<std::string> const& languages() const { return languages_; }

  int64_t count(std::string const& language) const {
    auto const pool = pools_.find(language);
    return pool == pools_.end() ? 0 : static_cast<int64_t>(pool->second.size());
  }

  /// @throws Error naming those of `languages` that have no rows
  void require(std::vector<std::string> const& languages, std::string const& configuration) const {
    auto const is_missing = [&](std::string const& language) { return count(language) == 0; };
    std::string const missing = joined(languages | std::views::filter(is_missing));
    if (!missing.empty())
      throw Error("there are no rows for language " + missing + request_.side + ", which configuration " +
                      configuration + " takes",
                  "give files with such rows (column lang), or another --configuration");
  }

  /// The first `count` rows of `language`, after whole passes over it if it has fewer; appended to `passes`.
  void take(std::string const& language, int64_t count, std::vector<Rows>& passes) const {
    if (count <= 0) return;
    Rows const& pool = pools_.at(language);
    for (std::size_t pass = 0; count > 0; ++pass) {
      int64_t const taken = std::min(count, static_cast<int64_t>(pool.size()));
      if (passes.size() <= pass) passes.resize(pass + 1);
      passes[pass].insert(passes[pass].end(), pool.begin(), pool.begin() + taken);
      count -= taken;
    }
  }

private:
  SelectionRequest const& request_;
  std::map<std::string, Rows> pools_;
  std::vector<std::string> languages_;
};

/// Rows that a plain set gives: the smallest language's count of each.
std::vector<int64_t> equal_counts(Pools const& pools, LanguageSet const& set, std::string const& configuration) {
  pools.require(set.languages, configuration);
  int64_t smallest = pools.count(set.languages.front());
  for (auto const& language : set.languages) smallest = std::min(smallest, pools.count(language));
  return std::vector<int64_t>(set.languages.size(), smallest);
}

int64_t total(std::vector<int64_t> const& counts) { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); }

}  // namespace

std::vector<int64_t> even_shares(std::vector<int64_t> const& available, int64_t total_wanted) {
  std::vector<int64_t> shares(available.size(), 0);
  int64_t left = std::min(total_wanted, total(available));
  while (left > 0) {
    std::vector<std::size_t> open;
    for (std::size_t i = 0; i < available.size(); ++i)
      if (shares[i] < available[i]) open.push_back(i);
    auto const parts = static_cast<int64_t>(open.size());
    int64_t const share = left / parts;
    int64_t const remainder = share == 0 ? left : 0;  // shared out only when nothing more goes to all
    for (int64_t k = 0; k < parts; ++k) {
      std::size_t const i = open[static_cast<std::size_t>(k)];
      int64_t const added = std::min(share + (k < remainder ? 1 : 0), available[i] - shares[i]);
      shares[i] += added;
      left -= added;
    }
  }
  return shares;
}

std::vector<std::size_t> select_rows(LanguageSets const& sets, SelectionRequest const& request,
                                     std::vector<Candidate> const& candidates) {
  LanguageSet const& set = sets.find(request.configuration);
  Pools const pools(candidates, request);
  int64_t const cap = request.total_pairs.value_or(static_cast<int64_t>(candidates.size()));
  auto const all_of = [&](LanguageSet const& of) {
    pools.require(of.languages, request.configuration);
    std::vector<int64_t> counts;
    for (auto const& language : of.languages) counts.push_back(pools.count(language));
    return counts;
  };
  auto const reference = [&](std::string const& name) {
    return std::min(cap, total(equal_counts(pools, sets.find(name), request.configuration)));
  };

  std::vector<std::string> const& languages = set.any_language ? pools.languages() : set.languages;
  std::vector<int64_t> counts;
  if (set.any_language) {
    for (auto const& language : languages) counts.push_back(pools.count(language));
    counts = even_shares(counts, cap);
  } else if (!set.total_of.empty()) {
    counts = even_shares(all_of(set), reference(set.total_of));
  } else if (!set.repeat_to.empty()) {
    int64_t const wanted = reference(set.repeat_to);
    all_of(set);  // each must have a row to repeat
    counts = even_shares(std::vector<int64_t>(languages.size(), wanted), wanted);
  } else {
    counts = even_shares(equal_counts(pools, set, request.configuration), cap);
  }

  std::vector<Rows> passes;
  for (std::size_t i = 0; i < languages.size(); ++i) pools.take(languages[i], counts[i], passes);
  Rows taken;
  for (Rows& pass : passes) {
    std::sort(pass.begin(), pass.end());
    taken.insert(taken.end(), pass.begin(), pass.end());
  }
  return taken;
}

std::set<int64_t> choose_dev_groups(std::set<int64_t> const& groups, double fraction, uint64_t seed) {
  if (groups.size() < 2)
    throw Error("--dev-fraction parts whole groups of one row_id, and there " +
                    std::string(groups.empty() ? "is no row" : "is one group"),
                "give rows with different row_id, or leave --dev-fraction out");
  CounterRandom const random(seed, "dev");
  std::vector<int64_t> order(groups.begin(), groups.end());
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    auto const hash_a = random.bits(static_cast<uint64_t>(a)), hash_b = random.bits(static_cast<uint64_t>(b));
    return hash_a != hash_b ? hash_a < hash_b : a < b;
  });
  auto const wanted = static_cast<int64_t>(std::llround(fraction * static_cast<double>(order.size())));
  auto const count = std::clamp<int64_t>(wanted, 1, static_cast<int64_t>(order.size()) - 1);
  return {order.begin(), order.begin() + count};
}

}  // namespace refrain::shard

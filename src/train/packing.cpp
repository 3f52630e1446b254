#include <refrain/train/packing.hpp>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

namespace refrain::train {
namespace {

struct Filled {
  Bin items;
  int64_t tokens = 0;
  double cost = 0;

  void add(int64_t place, PackingItem const& item) {
    items.push_back(place);
    tokens += item.tokens;
    cost += item.cost;
  }
};

/// One item of the dearer bin for at most one of the cheaper bin, by their places there.
struct Exchange {
  std::size_t give = 0;
  std::optional<std::size_t> take;
  double dearer_cost = 0;  ///< of the dearer of the two, afterwards
};

class Packing {
public:
  Packing(std::vector<PackingItem> const& items, int64_t room) : items_(items), room_(room) {}

  /// Puts the items, dearest first, into this many bins. @returns whether all found room
  bool spread(std::vector<int64_t> const& order, std::size_t bins) {
    bins_.assign(bins, {});
    ByCost cheapest;
    for (std::size_t b = 0; b < bins; ++b) cheapest.emplace(0.0, b);
    for (int64_t const place : order) {
      auto const bin = std::find_if(cheapest.begin(), cheapest.end(), [&](auto const& candidate) {
        return bins_[candidate.second].tokens + item(place).tokens <= room_;
      });
      if (bin == cheapest.end()) return false;
      Filled& filled = bins_[bin->second];
      filled.add(place, item(place));
      rekey(cheapest, bin, filled.cost);
    }
    return true;
  }

  /// Exchanges items between the dearest bin and cheap ones as long as that makes the dearer of the two cheaper.
  void even_out() {
    constexpr double near_enough = 1e-3;
    constexpr std::size_t partners = 16, rounds_a_bin = 8;
    ByCost open;  // bins that may still change
    double sum = 0;
    for (std::size_t b = 0; b < bins_.size(); ++b) {
      open.emplace(bins_[b].cost, b);
      sum += bins_[b].cost;
    }
    for (std::size_t round = 0; round < rounds_a_bin * bins_.size() && open.size() > 1; ++round) {
      auto const last = std::prev(open.end());
      Filled& dear = bins_[last->second];
      if (dear.cost <= (1 + near_enough) * sum / static_cast<double>(open.size())) return;
      std::optional<Exchange> best;
      auto with = last;
      std::size_t tried = 0;
      for (auto cheap = open.begin(); cheap != last && tried < partners; ++cheap, ++tried) {
        auto const found = best_exchange(dear, bins_[cheap->second]);
        if (!found || (best && best->dearer_cost <= found->dearer_cost)) continue;
        best = found;
        with = cheap;
      }
      if (best) {
        Filled& cheap = bins_[with->second];
        make(*best, dear, cheap);
        rekey(open, last, dear.cost);
        rekey(open, with, cheap.cost);
      } else {
        sum -= dear.cost;
        open.erase(last);
      }
    }
  }

  std::vector<Filled> bins() && { return std::move(bins_); }

private:
  using ByCost = std::set<std::pair<double, std::size_t>>;  // cost and place of bins; ties go by place

  static void rekey(ByCost& bins, ByCost::iterator bin, double cost) {
    auto node = bins.extract(bin);
    node.value().first = cost;
    bins.insert(std::move(node));
  }

  PackingItem const& item(int64_t place) const { return items_[static_cast<std::size_t>(place)]; }

  std::optional<Exchange> best_exchange(Filled const& dear, Filled const& cheap) const {
    std::optional<Exchange> best;
    double limit = dear.cost;
    auto const consider = [&](std::size_t give, std::optional<std::size_t> take) {
      PackingItem const& given = item(dear.items[give]);
      PackingItem const taken = take ? item(cheap.items[*take]) : PackingItem{};
      double const moved = given.cost - taken.cost;
      double const dearer = std::max(dear.cost - moved, cheap.cost + moved);
      int64_t const tokens = given.tokens - taken.tokens;
      if (dearer >= limit || cheap.tokens + tokens > room_ || dear.tokens - tokens > room_) return;
      limit = dearer;
      best = Exchange{give, take, dearer};
    };
    for (std::size_t give = 0; give < dear.items.size(); ++give) {
      consider(give, std::nullopt);
      for (std::size_t take = 0; take < cheap.items.size(); ++take) consider(give, take);
    }
    return best;
  }

  void make(Exchange const& exchange, Filled& dear, Filled& cheap) {
    int64_t const given = dear.items[exchange.give];
    Filled fewer, more;
    for (std::size_t i = 0; i < dear.items.size(); ++i)
      if (i != exchange.give) fewer.add(dear.items[i], item(dear.items[i]));
    for (std::size_t i = 0; i < cheap.items.size(); ++i)
      if (i != exchange.take) more.add(cheap.items[i], item(cheap.items[i]));
    more.add(given, item(given));
    if (exchange.take) fewer.add(cheap.items[*exchange.take], item(cheap.items[*exchange.take]));
    dear = std::move(fewer);
    cheap = std::move(more);
  }

  std::vector<PackingItem> const& items_;
  int64_t room_;
  std::vector<Filled> bins_;
};

/// The k-th bins of all ranks are neighbours in order of cost; of those, the dearest goes to the rank that has least.
std::vector<std::vector<Bin>> deal(std::vector<Filled> bins, std::size_t ranks) {
  std::stable_sort(bins.begin(), bins.end(), [](Filled const& a, Filled const& b) { return a.cost > b.cost; });
  std::vector<std::vector<Bin>> result(ranks);
  std::vector<double> load(ranks, 0.0);
  std::vector<std::size_t> poorest(ranks);
  std::iota(poorest.begin(), poorest.end(), 0);
  for (std::size_t first = 0; first < bins.size(); first += ranks) {
    std::stable_sort(poorest.begin(), poorest.end(),
                     [&](std::size_t a, std::size_t b) { return load[a] != load[b] ? load[a] < load[b] : a < b; });
    for (std::size_t k = 0; k < ranks; ++k) {
      Filled& bin = bins[first + k];
      std::sort(bin.items.begin(), bin.items.end());
      result[poorest[k]].push_back(std::move(bin.items));
      load[poorest[k]] += bin.cost;
    }
  }
  return result;
}

}  // namespace

std::vector<std::vector<Bin>> pack_evenly(std::vector<PackingItem> const& items, int64_t room, int ranks) {
  auto const rank_count = static_cast<std::size_t>(ranks);
  std::vector<Filled> alone;
  std::vector<int64_t> order;
  int64_t tokens = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].tokens > room) {
      alone.emplace_back().add(static_cast<int64_t>(i), items[i]);
    } else {
      order.push_back(static_cast<int64_t>(i));
      tokens += items[i].tokens;
    }
  }
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return items[static_cast<std::size_t>(a)].cost > items[static_cast<std::size_t>(b)].cost;
  });
  Packing packing(items, room);
  std::size_t const least = alone.size() + static_cast<std::size_t>((tokens + room - 1) / room);
  std::size_t bins = rank_count * std::max<std::size_t>((least + rank_count - 1) / rank_count, items.empty() ? 0 : 1);
  // Where dozens are too few, looking for the very least number would take long.
  while (!packing.spread(order, bins - alone.size())) bins += rank_count * (1 + bins / rank_count / 64);
  packing.even_out();
  std::vector<Filled> all = std::move(packing).bins();
  std::move(alone.begin(), alone.end(), std::back_inserter(all));
  return deal(std::move(all), rank_count);
}

}  // namespace refrain::train

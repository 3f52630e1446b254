#include <refrain/inference/page_pool.hpp>

#include <refrain/base/digest.hpp>

#include <algorithm>

namespace refrain::inference {
namespace {

// The digest of a page behind those that `chain` is of.
std::string chained(std::string const& chain, std::span<int32_t const> page) {
  Xxh3 digest;
  digest.update(std::as_bytes(std::span(chain)));
  digest.update(std::as_bytes(page));
  return digest.hex();
}

}  // namespace

PagePool::PagePool(int64_t pages, int64_t page_tokens)
    : page_tokens_(page_tokens),
      uses_(static_cast<std::size_t>(pages)),
      place_in_unused_(static_cast<std::size_t>(pages)),
      chain_of_(static_cast<std::size_t>(pages)) {
  for (int64_t page = pages; page-- > 0;) free_.push_back(static_cast<int32_t>(page));
}

void PagePool::hold(int32_t page) {
  auto const at = static_cast<std::size_t>(page);
  if (uses_[at]++ == 0) unused_.erase(place_in_unused_[at]);
}

int32_t PagePool::take() {
  int32_t page = 0;
  if (!free_.empty()) {
    page = free_.back();
    free_.pop_back();
  } else {
    page = unused_.front();
    unused_.pop_front();
    pages_by_chain_.erase(chain_of_[static_cast<std::size_t>(page)]);
    chain_of_[static_cast<std::size_t>(page)].clear();
  }
  uses_[static_cast<std::size_t>(page)] = 1;
  return page;
}

RowPages PagePool::begin(std::span<int32_t const> tokens) {
  RowPages row;
  auto const length = static_cast<int64_t>(tokens.size());
  // The last token is computed in any case: its logits are wanted.
  while (row.tokens + page_tokens_ < length) {
    std::string chain = chained(
        row.chain, tokens.subspan(static_cast<std::size_t>(row.tokens), static_cast<std::size_t>(page_tokens_)));
    auto const found = pages_by_chain_.find(chain);
    if (found == pages_by_chain_.end()) break;
    hold(found->second);
    row.pages.push_back(found->second);
    row.tokens += page_tokens_;
    row.chain = std::move(chain);
    ++row.chained_pages;
  }
  return row;
}

int64_t PagePool::pages_for(RowPages const& row, int64_t tokens) const {
  int64_t const needed = (tokens + page_tokens_ - 1) / page_tokens_;
  return std::max<int64_t>(0, needed - static_cast<int64_t>(row.pages.size()));
}

bool PagePool::extend(RowPages& row, std::span<int32_t const> tokens) {
  auto const length = static_cast<int64_t>(tokens.size());
  int64_t const wanted = pages_for(row, length);
  if (wanted > free_pages()) return false;
  for (int64_t i = 0; i < wanted; ++i) row.pages.push_back(take());
  row.tokens = length;
  for (; (row.chained_pages + 1) * page_tokens_ <= length; ++row.chained_pages) {
    row.chain = chained(row.chain, tokens.subspan(static_cast<std::size_t>(row.chained_pages * page_tokens_),
                                                  static_cast<std::size_t>(page_tokens_)));
    int32_t const page = row.pages[static_cast<std::size_t>(row.chained_pages)];
    // Another row may have computed the same page beside this one: that one stays known.
    if (pages_by_chain_.emplace(row.chain, page).second) chain_of_[static_cast<std::size_t>(page)] = row.chain;
  }
  return true;
}

void PagePool::release(RowPages& row) {
  // The first pages are the likeliest to be wanted again: they are forgotten last.
  for (auto page = row.pages.rbegin(); page != row.pages.rend(); ++page) {
    auto const at = static_cast<std::size_t>(*page);
    if (--uses_[at] > 0) continue;
    if (chain_of_[at].empty())
      free_.push_back(*page);
    else
      place_in_unused_[at] = unused_.insert(unused_.end(), *page);
  }
  row = {};
}

}  // namespace refrain::inference

#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace refrain::inference {

/// Where the keys and values of one row's tokens lie: token i in page `pages[i / page_tokens]`.
struct RowPages {
  std::vector<int32_t> pages;
  int64_t tokens = 0;  ///< that have a place

  std::string chain;          ///< digest of the tokens of the pages that are full; empty where none is
  int64_t chained_pages = 0;  ///< how many those are
};

/// Gives out the pages of a cache for keys and values to rows as they grow. A full page whose tokens, and all tokens
/// before them in the row, equal another row's is the same page: what begins alike is kept, and computed, once. Pages
/// that nobody uses any more keep their tokens until their memory is needed, the longest unused first.
///
/// Bookkeeping alone; KvCache has the memory.
class PagePool {
public:
  PagePool(int64_t pages, int64_t page_tokens);

  int64_t page_tokens() const noexcept { return page_tokens_; }
  int64_t capacity() const noexcept { return static_cast<int64_t>(uses_.size()) * page_tokens_; }  ///< in tokens
  int64_t free_pages() const noexcept { return static_cast<int64_t>(free_.size() + unused_.size()); }

  /// Begins a row with the pages that hold its first tokens already, the last token always left out.
  RowPages begin(std::span<int32_t const> tokens);
  /// Places for all of `tokens`, of which the row's first `row.tokens` have one. @returns false, and changes nothing,
  /// if there are too few pages. @pre the new tokens' keys and values are written before they are read: by the same
  /// forward pass
  bool extend(RowPages& row, std::span<int32_t const> tokens);
  /// Pages that `extend` would take.
  int64_t pages_for(RowPages const& row, int64_t tokens) const;
  /// Ends a row.
  void release(RowPages& row);

private:
  void hold(int32_t page);
  int32_t take();

  int64_t page_tokens_;
  std::vector<int32_t> uses_;  // of a page: rows that hold it
  std::vector<int32_t> free_;
  std::list<int32_t> unused_;  // with tokens, and no row; the longest unused first
  std::vector<std::list<int32_t>::iterator> place_in_unused_;
  std::map<std::string, int32_t> pages_by_chain_;
  std::vector<std::string> chain_of_;  // of a page; empty where it has none
};

}  // namespace refrain::inference

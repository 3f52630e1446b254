#include <refrain/shard/sides.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/joined.hpp>

#include <map>
#include <set>

namespace refrain::shard {
namespace {

int64_t append(TokenIds const& ids, std::vector<int32_t>& tokens) {
  auto const begin = static_cast<int64_t>(tokens.size());
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  return begin;
}

template <class File>
void add_labels(RowLabels const& labels, File& file) {
  file.row_id.push_back(labels.row_id);
  file.id.push_back(labels.id);
  file.language.push_back(labels.language);
  file.category.push_back(labels.category);
  file.style.push_back(labels.style);
}

/// Selects among the rows that `eligible` names.
std::vector<std::size_t> select_among(std::vector<std::size_t> const& eligible, std::vector<ShardRow> const& rows,
                                      LanguageSets const& sets, SelectionRequest const& request) {
  std::vector<Candidate> candidates;
  for (std::size_t const row : eligible) candidates.push_back({rows[row].labels.row_id, rows[row].labels.language});
  std::vector<std::size_t> taken = select_rows(sets, request, candidates);
  for (std::size_t& row : taken) row = eligible[row];
  return taken;
}

/// To the selection a language whose pairs were all dropped is one that the files do not have. `languages` are those
/// that take part; none: any.
void require_pairs_left(Options const& options, std::vector<std::string> const& languages,
                        std::vector<ShardRow> const& rows) {
  using Counts = std::map<Drop, int64_t>;
  std::map<std::string, Counts> by_language;
  for (ShardRow const& row : rows)
    if (row.wanted) ++by_language[languages.empty() ? "" : row.labels.language][row.tokens.drop];
  Counts lost;
  std::vector<std::string> lost_languages, reasons;
  for (auto const& [language, counts] : by_language) {
    if (counts.contains(Drop::none)) continue;
    lost_languages.push_back(language);
    for (auto const& [drop, count] : counts) lost[drop] += count;
  }
  if (lost.empty()) return;
  int64_t pairs = 0;
  for (auto const& [drop, count] : lost) {
    pairs += count;
    reasons.push_back(reason_of(drop, options.max_length) + " (" + std::to_string(count) + ")");
  }
  throw Error("no pair is left of " + std::to_string(pairs) +
                  (languages.empty() ? "" : " in language " + joined(lost_languages)) + ": " + joined(reasons),
              lost.contains(Drop::prompt_fills_length) ? "raise --max-length"
                                                       : "give prompts and answers that have text");
}

/// A split of which one side was dropped.
void require_both_sides(Options const& options, Sides const& sides) {
  for (auto const& [side, path] : {std::pair(&sides.out, options.out), std::pair(&sides.dev, options.dev_out)})
    if (side->empty() && !path.empty())
      throw Error("no pair is left for this side of the split", "raise --max-length, or give another --dev-fraction",
                  {.file = path});
}

}  // namespace

Sides choose_sides(Options const& options, LanguageSets const& sets, std::vector<ShardRow> const& rows) {
  require_pairs_left(options, sets.languages_needed(options.configuration), rows);
  std::set<int64_t> dev_groups;
  if (options.dev_fraction) {
    // All groups of the input, whether this configuration takes them or not: every configuration then splits alike.
    std::set<int64_t> groups;
    for (ShardRow const& row : rows) groups.insert(row.labels.row_id);
    dev_groups = choose_dev_groups(groups, *options.dev_fraction, static_cast<uint64_t>(options.seed));
  }
  std::vector<std::size_t> out, dev;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].wanted || rows[i].tokens.drop != Drop::none) continue;
    (dev_groups.contains(rows[i].labels.row_id) ? dev : out).push_back(i);
  }
  SelectionRequest request{.configuration = options.configuration,
                           .total_pairs = options.total_pairs,
                           .seed = static_cast<uint64_t>(options.seed)};
  Sides sides{.out = select_among(out, rows, sets, request)};
  if (options.dev_fraction) {
    request.total_pairs.reset();
    request.side = " on the dev side";
    sides.dev = select_among(dev, rows, sets, request);
  }
  require_both_sides(options, sides);
  return sides;
}

h5::Pairs make_pairs(std::vector<ShardRow> const& rows, std::vector<std::size_t> const& taken) {
  h5::Pairs pairs;
  std::map<std::size_t, std::size_t> first;  // row -> the pair that holds its tokens
  for (std::size_t const row : taken) {
    auto const [where, is_new] = first.try_emplace(row, pairs.row_id.size());
    Parts<TokenIds> const& ids = rows[row].tokens.ids;
    pairs.prompt_begin.push_back(is_new ? append(ids.prompt, pairs.tokens) : pairs.prompt_begin[where->second]);
    pairs.chosen_begin.push_back(is_new ? append(ids.chosen, pairs.tokens) : pairs.chosen_begin[where->second]);
    pairs.rejected_begin.push_back(is_new ? append(ids.rejected, pairs.tokens) : pairs.rejected_begin[where->second]);
    pairs.prompt_length.push_back(static_cast<int32_t>(ids.prompt.size()));
    pairs.chosen_length.push_back(static_cast<int32_t>(ids.chosen.size()));
    pairs.rejected_length.push_back(static_cast<int32_t>(ids.rejected.size()));
    add_labels(rows[row].labels, pairs);
  }
  return pairs;
}

h5::Prompts make_prompts(std::vector<ShardRow> const& rows, std::vector<std::size_t> const& taken) {
  h5::Prompts prompts;
  for (std::size_t const row : taken) {
    TokenIds const& ids = rows[row].tokens.ids.prompt;
    prompts.begin.push_back(append(ids, prompts.tokens));
    prompts.length.push_back(static_cast<int32_t>(ids.size()));
    prompts.text.push_back(rows[row].text);
    prompts.turns.push_back(rows[row].turns);
    add_labels(rows[row].labels, prompts);
  }
  return prompts;
}

}  // namespace refrain::shard

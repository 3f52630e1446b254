#include <refrain/shard/sides.hpp>

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

}  // namespace

Sides choose_sides(Options const& options, LanguageSets const& sets, std::vector<ShardRow> const& rows) {
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

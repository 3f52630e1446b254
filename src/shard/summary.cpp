#include <refrain/shard/summary.hpp>

#include <refrain/base/table.hpp>

#include <algorithm>
#include <map>

namespace refrain::shard {
namespace {

struct Counts {
  int64_t read = 0, dropped = 0, out = 0, dev = 0;
};

std::string count(int64_t value) { return format_count(value); }

std::string language_table(Options const& options, std::vector<ShardRow> const& rows, Sides const& sides) {
  std::vector<std::string> order;
  std::map<std::string, Counts> languages;
  Counts all;
  auto const both = [&](std::size_t row) {
    auto const& language = rows[row].labels.language;
    return languages.try_emplace(language).first;
  };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto const [entry, first] = languages.try_emplace(rows[i].labels.language);
    if (first) order.push_back(rows[i].labels.language);
    bool const dropped = rows[i].tokens.drop != Drop::none;
    for (Counts* counts : {&entry->second, &all}) ++counts->read, counts->dropped += dropped;
  }
  for (std::size_t const row : sides.out) ++both(row)->second.out, ++all.out;
  for (std::size_t const row : sides.dev) ++both(row)->second.dev, ++all.dev;

  std::vector<std::vector<std::string>> table{{"language", "read"}};
  if (options.for_pairs()) table[0].emplace_back("dropped");
  table[0].emplace_back("written");
  if (options.dev_fraction) table[0].emplace_back("dev");
  auto const add = [&](std::string const& name, Counts const& counts) {
    std::vector<std::string> line{name, count(counts.read)};
    if (options.for_pairs()) line.push_back(count(counts.dropped));
    line.push_back(count(counts.out));
    if (options.dev_fraction) line.push_back(count(counts.dev));
    table.push_back(std::move(line));
  };
  for (auto const& language : order) add(language.empty() ? "(none)" : language, languages[language]);
  if (order.size() > 1) add("all", all);
  return format_table(table);
}

std::string drop_lines(Options const& options, std::vector<ShardRow> const& rows) {
  std::map<Drop, int64_t> dropped;
  for (ShardRow const& row : rows) ++dropped[row.tokens.drop];
  std::string text;
  for (auto const& [drop, pairs] : dropped)
    if (drop != Drop::none) text += "dropped " + count(pairs) + ": " + reason_of(drop, options.max_length) + "\n";
  return text;
}

/// Nearest rank: the least value that at least `share` of all do not exceed.
int64_t percentile(std::vector<int64_t> const& sorted, int percent) {
  auto const rank = (sorted.size() * static_cast<std::size_t>(percent) + 99) / 100;
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

std::string length_table(Options const& options, std::vector<ShardRow> const& rows, Sides const& sides) {
  std::vector<std::vector<std::string>> table{{"tokens", "p50", "p95", "max"}};
  auto const add = [&](std::string const& name, TokenIds Parts<TokenIds>::* part) {
    std::vector<int64_t> lengths;
    for (auto const* side : {&sides.out, &sides.dev})
      for (std::size_t const row : *side) lengths.push_back(static_cast<int64_t>((rows[row].tokens.ids.*part).size()));
    if (lengths.empty()) return;
    std::sort(lengths.begin(), lengths.end());
    table.push_back({name, count(percentile(lengths, 50)), count(percentile(lengths, 95)), count(lengths.back())});
  };
  add("prompt", &Parts<TokenIds>::prompt);
  if (options.for_pairs()) {
    add("chosen", &Parts<TokenIds>::chosen);
    add("rejected", &Parts<TokenIds>::rejected);
  }
  return format_table(table);
}

std::string cut_line(Options const& options, std::vector<ShardRow> const& rows, Sides const& sides) {
  int64_t chosen = 0, rejected = 0;
  for (auto const* side : {&sides.out, &sides.dev})
    for (std::size_t const row : *side) {
      chosen += rows[row].tokens.chosen_cut;
      rejected += rows[row].tokens.rejected_cut;
    }
  if (chosen + rejected == 0) return {};
  return "cut at --max-length " + std::to_string(options.max_length) + ": " + count(chosen) + " chosen and " +
         count(rejected) + " rejected answers\n";
}

}  // namespace

std::string summary(Options const& options, std::vector<ShardRow> const& rows, Sides const& sides) {
  char const* const what = options.for_pairs() ? " pairs" : " prompts";
  std::string text = language_table(options, rows, sides) + drop_lines(options, rows) + "\n" +
                     length_table(options, rows, sides) + cut_line(options, rows, sides) + "\n" + options.out.string() +
                     ": " + count(static_cast<int64_t>(sides.out.size())) + what + "\n";
  if (options.dev_fraction)
    text += options.dev_out.string() + ": " + count(static_cast<int64_t>(sides.dev.size())) + what + "\n";
  return text;
}

}  // namespace refrain::shard

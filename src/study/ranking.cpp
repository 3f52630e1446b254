#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/base/table.hpp>
#include <refrain/study/batch_job.hpp>
#include <refrain/study/process.hpp>
#include <refrain/study/ranking.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// Makes the report of the ranking. @returns its table
fs::path make_ranking(Words const& line, SweepRequest const& sweep) {
  log_line(join_words(line));
  if (auto const report = run_captured(line, Stderr::capture); report.code != 0)
    throw Error("refrain-report ended with " + exit_text(report.code) + ": " + first_line(report.text),
                "its line was " + join_words(line));
  return sweep.folder() / "ranking" / "ranking.csv";
}

/// Places and values of the ranking; a measure that no member has is left out.
std::string places_table(fs::path const& file) {
  std::istringstream lines(read_file(file));
  std::vector<std::vector<std::string>> rows, shown;
  for (std::string line; std::getline(lines, line);) rows.push_back(csv_fields(line));
  shown.resize(rows.size());
  for (std::size_t column = 0; column < rows.front().size(); ++column) {
    auto const& name = rows.front()[column];
    bool const is_value = name == "accuracy" || name == "margin" || name == "asr";
    if (name != "run" && !is_value && !name.ends_with("_place")) continue;
    if (std::all_of(rows.begin() + 1, rows.end(), [&](auto const& row) { return row[column].empty(); })) continue;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      auto const& text = rows[i][column];
      auto const cell = i == 0 && name.ends_with("_place") ? std::string("place") : is_value ? short_value(text) : text;
      shown[i].push_back(cell.empty() ? "-" : cell);
    }
  }
  return format_table(shown);
}

}  // namespace

std::vector<std::string> csv_fields(std::string const& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i)
    if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"')
      fields.back() += line[++i];
    else if (line[i] == '"')
      quoted = !quoted;
    else if (line[i] == ',' && !quoted)
      fields.emplace_back();
    else
      fields.back() += line[i];
  return fields;
}

std::string short_value(std::string const& value) {
  char* end = nullptr;
  double const number = std::strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0') return value;
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", number);
  return text;
}

Words ranking_line(SweepRequest const& sweep) {
  Words line{program("report").string(), "--runs"}, verdicts;
  for (std::size_t i = 0; i < sweep.members.size(); ++i) {
    auto const folder = sweep.run(i).path();
    if (!fs::exists(folder / "run.json")) continue;
    line.push_back(folder.string());
    if (auto const dev = folder / "dev" / "verdicts.h5"; fs::exists(dev)) verdicts.push_back(dev.string());
  }
  if (line.size() == 2)
    throw Error("no member of the sweep has begun", "refrain-study submit " + sweep.name, {.file = sweep.folder()});
  if (!verdicts.empty()) line.emplace_back("--dev-verdicts");
  line.insert(line.end(), verdicts.begin(), verdicts.end());
  line.insert(line.end(), {"--out", (sweep.folder() / "ranking").string()});
  return line;
}

std::vector<RankedMember> rank_members(SweepRequest const& sweep, std::string const& measure) {
  auto const file = make_ranking(ranking_line(sweep), sweep);
  std::vector<RankedMember> ranked;
  if (fs::exists(file)) {
    std::istringstream lines(read_file(file));
    std::string line;
    std::getline(lines, line);
    auto const keys = csv_fields(line);
    auto const place_of = [&](std::string const& key) {
      auto const found = std::find(keys.begin(), keys.end(), key);
      if (found == keys.end())
        throw Error("the ranking has no column " + key, "use one version of all programs", {.file = file});
      return static_cast<std::size_t>(found - keys.begin());
    };
    auto const run = place_of("run"), value = place_of(measure), place = place_of(measure + "_place");
    while (std::getline(lines, line)) {
      auto const fields = csv_fields(line);
      RankedMember member{.folder = fields.at(run).substr(fields.at(run).rfind('/') + 1), .value = fields.at(value)};
      if (!fields.at(place).empty()) member.place = std::stoll(fields.at(place));
      ranked.push_back(std::move(member));
    }
  }
  if (std::none_of(ranked.begin(), ranked.end(), [](auto const& member) { return member.place.has_value(); }))
    throw Error("no finished member of the sweep has a dev " + measure,
                measure == "asr" ? "answer and judge dev prompts: REFRAIN_SPLIT=dev, docs/sweeps.md tells how"
                                 : "train with held-out pairs: REFRAIN_SHARD_ARGS=\"--dev-fraction 0.05\"",
                {.file = sweep.folder()});
  std::stable_sort(ranked.begin(), ranked.end(), [](auto const& a, auto const& b) {
    return a.place.value_or(INT64_MAX) < b.place.value_or(INT64_MAX);
  });
  return ranked;
}

Exit run_rank(Options const& options) {
  install_stop_handlers();
  auto const sweep = read_sweep_request(options, {});
  auto const line = ranking_line(sweep);
  if (options.dry_run) {
    std::cout << join_words(line) << "\n";
    return Exit::success;
  }
  auto const table = make_ranking(line, sweep);
  if (!fs::exists(table))
    throw Error("no member of the sweep was evaluated on a dev split",
                "train with held-out pairs: REFRAIN_SHARD_ARGS=\"--dev-fraction 0.05\"", {.file = sweep.folder()});
  std::cout << places_table(table) << (sweep.folder() / "ranking" / "report.html").string() << "\n" << std::flush;
  return Exit::success;
}

}  // namespace refrain::study

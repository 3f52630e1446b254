#include "commands.hpp"

#include <refrain/archive/collect.hpp>
#include <refrain/archive/summary.hpp>
#include <refrain/base/launch.hpp>
#include <refrain/base/table.hpp>

#include <iostream>

namespace refrain::archive {
namespace {

namespace fs = std::filesystem;

std::vector<StoredRun> runs_of_folder(std::string const& word) {
  Options options;
  options.paths = {word};
  std::vector<StoredRun> runs;
  for (auto const& run : collect(options).runs) runs.push_back({.name = run.name, .summary = summarise(run.folder)});
  return runs;
}

/// FILE.h5, FILE.h5:RUN or a folder. @throws Error
std::vector<StoredRun> runs_of(std::string const& word) {
  if (fs::is_directory(word)) return runs_of_folder(word);
  auto const colon = word.find(".h5:");
  if (fs::exists(word) || colon == std::string::npos) return ArchiveFile(word).manifest().runs;
  ArchiveFile const file(word.substr(0, colon + 3));
  auto const name = word.substr(colon + 4);
  auto const* run = file.manifest().find_run(name);
  if (run == nullptr)
    throw Error("the archive has no run " + name, file.manifest().runs_like(name), {.file = file.path()});
  return {*run};
}

using Rows = std::vector<std::vector<std::string>>;

void add(Rows& rows, std::string const& name, Json const& first, Json const& second) {
  for (auto const& difference : compare(first, second))
    rows.push_back({name, difference.of, difference.key, difference.first, difference.second});
}

/// Whether they are one run's, in a study that is named or in one whose name is left out.
bool name_one_run(std::string const& a, std::string const& b) {
  return a == b || a.ends_with("/" + b) || b.ends_with("/" + a);
}

/// One run with one run, whatever their names; else those of one name.
Rows compare_all(std::vector<StoredRun> const& first, std::vector<StoredRun> const& second) {
  Rows rows{{"run", "of", "what", "first", "second"}};
  if (first.size() == 1 && second.size() == 1) {
    auto const name = first[0].name == second[0].name ? first[0].name : first[0].name + ", " + second[0].name;
    add(rows, name, first[0].summary, second[0].summary);
    return rows;
  }
  auto const with_name = [](std::vector<StoredRun> const& runs, std::string const& name) -> StoredRun const* {
    for (auto const& run : runs)
      if (name_one_run(run.name, name)) return &run;
    return nullptr;
  };
  for (auto const& run : first)
    if (auto const* other = with_name(second, run.name))
      add(rows, run.name, run.summary, other->summary);
    else
      rows.push_back({run.name, "run", "", "there", ""});
  for (auto const& run : second)
    if (with_name(first, run.name) == nullptr) rows.push_back({run.name, "run", "", "", "there"});
  return rows;
}

}  // namespace

Exit diff(Options const& options) {
  Rows rows;
  try {
    rows = compare_all(runs_of(options.paths[0]), runs_of(options.paths[1]));
  } catch (Error const& error) {
    throw UsageError(error.problem(), error.remedy(), error.place());
  } catch (std::exception const& error) {
    throw UsageError(error_text(error), {});
  }
  if (rows.size() == 1) return Exit::success;
  std::cout << format_table(rows) << std::flush;
  return Exit::failure;
}

}  // namespace refrain::archive

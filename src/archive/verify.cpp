#include "commands.hpp"

#include <refrain/base/counted.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/launch.hpp>
#include <refrain/base/table.hpp>

#include <cstdio>
#include <filesystem>
#include <iostream>

namespace refrain::archive {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string number_text(Json const& results, char const* key) {
  auto const found = results.find(key);
  if (found == results.end() || !found->is_number()) return "";
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", found->get<double>());
  return text;
}

std::string asr_text(Json const& results) {
  auto const asr = results.value("asr", Json::object()).value("all", Json::object()).value("asr", Json());
  if (!asr.is_number()) return "";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", 100 * asr.get<double>());
  return text;
}

/// A line for each run: what it is, how it ended, what of it is here.
Rows run_rows(Manifest const& manifest) {
  Rows rows{{"run", "state", "step", "loss", "ASR", "files", "bytes"}};
  for (auto const& run : manifest.runs) {
    std::size_t files = 0;
    int64_t bytes = 0;
    for (auto const& file : manifest.files)
      if (run.owns(file.path)) ++files, bytes += file.stored.bytes;
    auto const results = run.summary.value("results", Json::object());
    rows.push_back({run.name, results.value("state", ""), number_text(results, "step"), number_text(results, "loss"),
                    asr_text(results), std::to_string(files), format_count(bytes)});
  }
  return rows;
}

/// In a word or two, what `verify` finds to be no sound archive.
std::string fault_of(std::filesystem::path const& path) {
  if (!std::filesystem::exists(path)) return "missing";
  if (std::filesystem::is_directory(path)) return "no archive, but a folder";
  try {
    if (auto const kind = h5::Reader(path).schema(); kind != "archive.v1") return "no archive, but of kind " + kind;
  } catch (std::exception const&) {}  // which `verify` has told
  return "damaged";
}

}  // namespace

Exit verify(Options const& options) {
  bool sound = true;
  for (auto const& word : options.paths) {
    std::vector<std::string> problems;
    std::string what;
    try {
      ArchiveFile const file(word);
      problems = file.problems();
      what = "sound, " + counted(file.manifest().runs.size(), "run") + ", " +
             counted(file.manifest().files.size(), "file");
    } catch (Stopped const&) {
      throw;
    } catch (std::exception const& error) {
      problems.push_back(error_text(error));
    }
    for (auto const& problem : problems) std::cerr << "refrain-archive: " << problem << "\n" << std::flush;
    if (!problems.empty()) what = fault_of(word);
    std::cout << word << ": " << what << "\n" << std::flush;
    sound &= problems.empty();
  }
  return sound ? Exit::success : Exit::failure;
}

Exit list(Options const& options) {
  ArchiveFile const file(options.paths.front());
  auto const& manifest = file.manifest();
  std::cout << file.path().string() << ": " << counted(manifest.runs.size(), "run") << ", "
            << counted(manifest.files.size(), "file") << ", " << format_bytes(static_cast<double>(manifest.bytes()))
            << " in " << format_bytes(static_cast<double>(std::filesystem::file_size(file.path())))
            << (manifest.anonymous ? ", anonymous" : "") << "\n\n"
            << format_table(run_rows(manifest));
  Rows files{{"file", "bytes", "without"}}, left_out{{"left out", "why"}};
  for (auto const& entry : manifest.files)
    files.push_back({entry.path, format_count(entry.stored.bytes), entry.without});
  for (auto const& item : manifest.left_out) left_out.push_back({item.path, item.why});
  std::cout << "\n" << format_table(files);
  if (left_out.size() > 1) std::cout << "\n" << format_table(left_out);
  std::cout << std::flush;
  return Exit::success;
}

}  // namespace refrain::archive

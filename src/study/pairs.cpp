#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/log.hpp>
#include <refrain/study/pairs.hpp>
#include <refrain/study/process.hpp>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// Sharding takes seconds to minutes; a holder that lives is waited for this long.
constexpr double longest_wait_seconds = 6 * 3600;

/// What pairs.h5 depends on. Paths to the project's programs are left out: a rebuilt one is no other input.
Json describe_inputs(Words const& line, Settings const& settings) {
  Json inputs;
  inputs["options"] = Words(line.begin() + 1, line.end());
  for (auto const& path : settings.pairs)
    if (fs::is_regular_file(path)) inputs["sha256"][path] = sha256_file(path);
  for (auto const* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"})
    if (auto const path = settings.model / name; fs::is_regular_file(path))
      inputs["sha256"][path.string()] = sha256_file(path);
  return inputs;
}

/// The first member folder in which training has begun, or an empty path.
fs::path find_begun(fs::path const& folder) {
  for (auto const& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && fs::exists(entry.path() / "run.json")) return entry.path();
  return {};
}

}  // namespace

Words shard_line(fs::path const& program, Configuration const& configuration, Settings const& settings,
                 fs::path const& out) {
  Words line{program.string(), "--pairs"};
  line.insert(line.end(), settings.pairs.begin(), settings.pairs.end());
  line.insert(line.end(),
              {"--tokenizer", settings.model.string(), "--configuration", configuration.pairs, "--out", out.string()});
  Words const merged =
      merge_options(Words(line.begin() + 1, line.end()), settings.shard_args,
                    {"--pairs", "--tokenizer", "--configuration", "--out", "--prompts"}, "REFRAIN_SHARD_ARGS");
  line.resize(1);
  line.insert(line.end(), merged.begin(), merged.end());
  return line;
}

fs::path prepare_pairs(Words const& line, Settings const& settings, fs::path const& folder) {
  auto const pairs = folder / "pairs.h5", record = folder / "pairs.json";
  make_folders(folder);
  // As it will stand in the file: paths need not be UTF-8.
  auto const inputs = Json::parse(dump_text(describe_inputs(line, settings)));
  auto const fits = [&] { return fs::exists(pairs) && fs::exists(record) && read_json(record) == inputs; };
  if (fits()) return pairs;

  auto const lock = FolderLock::wait(folder / "pairs.lock", longest_wait_seconds);
  if (fits()) return pairs;
  if (fs::exists(pairs)) {
    if (auto const begun = find_begun(folder); !begun.empty())
      throw Error(
          "pairs.h5 was made from other files or options than REFRAIN_PAIRS and REFRAIN_SHARD_ARGS name now, and " +
              begun.filename().string() + " has begun to train on it",
          "set REFRAIN_RUNS to another folder, or remove this one", {.file = folder});
    fs::remove(pairs);
  }
  log_line("making pairs.h5: " + join_words(line));
  if (int const code = run_forwarding(line); code != 0)
    throw Error("refrain-shard ended with exit code " + std::to_string(code), "its lines are above", {.file = pairs});
  write_json(record, inputs);
  return pairs;
}

}  // namespace refrain::study

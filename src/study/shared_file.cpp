#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/folder_lock.hpp>
#include <refrain/base/json_file.hpp>
#include <refrain/base/log.hpp>
#include <refrain/study/failure.hpp>
#include <refrain/study/process.hpp>
#include <refrain/study/shared_file.hpp>

#include <map>
#include <tuple>

#include <unistd.h>

namespace refrain::study {

namespace fs = std::filesystem;

namespace {

/// Sharding takes seconds to minutes; a holder that lives is waited for this long.
constexpr double longest_wait_seconds = 6 * 3600;

/// SHA-256 of a file: all configurations of a study name the same ones, so each is read once as long as it stays.
std::string digest_of(fs::path const& path) {
  static std::map<std::tuple<fs::path, fs::file_time_type, std::uintmax_t>, std::string> known;
  auto& digest = known[{path, fs::last_write_time(path), fs::file_size(path)}];
  if (digest.empty()) digest = sha256_file(path);
  return digest;
}

fs::path record_of(SharedFile const& file) { return fs::path(file.path).replace_extension(".json"); }

/// What the file depends on. Paths to the project's programs are left out: a rebuilt one is no other input.
Json describe_inputs(SharedFile const& file) {
  Json inputs;
  inputs["options"] = Words(file.line.begin() + 1, file.line.end());
  for (auto const& path : file.inputs)
    if (fs::is_regular_file(path)) inputs["sha256"][path] = digest_of(path);
  for (auto const* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"})
    if (auto const path = file.tokenizer / name; fs::is_regular_file(path))
      inputs["sha256"][path.string()] = digest_of(path);
  // As it will stand in the file: paths need not be UTF-8.
  return Json::parse(dump_text(inputs));
}

/// Runs the program, and says why where it fails. On a terminal it keeps that: its lines are in sight.
void run_program(SharedFile const& file) {
  auto const name = fs::path(file.line.front()).filename().string();
  auto const [code, said] =
      isatty(STDERR_FILENO) == 1 ? Captured{.code = run_forwarding(file.line), .text = {}} : run_listening(file.line);
  if (code == 0) return;
  auto const cause = explain(code, name, said).cause;
  throw Error(name + " ended with " + exit_text(code) + (cause.empty() ? "" : ": " + cause), "its lines are above",
              {.file = file.path});
}

}  // namespace

bool was_made_from_others(SharedFile const& file) {
  auto const record = record_of(file);
  return fs::exists(file.path) && fs::exists(record) && read_json(record) != describe_inputs(file);
}

void make_once(SharedFile const& file) {
  auto const record = record_of(file);
  make_folders(file.path.parent_path());
  auto const inputs = describe_inputs(file);
  auto const fits = [&] { return fs::exists(file.path) && fs::exists(record) && read_json(record) == inputs; };
  if (fits()) return;

  auto const lock = FolderLock::wait(fs::path(file.path).replace_extension(".lock"), longest_wait_seconds);
  if (fits()) return;
  if (fs::exists(file.path)) {
    if (file.before_another) file.before_another();
    fs::remove(file.path);
  }
  log_line("making " + file.path.filename().string() + ": " + join_words(file.line));
  run_program(file);
  write_json(record, inputs);
}

}  // namespace refrain::study

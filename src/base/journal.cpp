#include <refrain/base/journal.hpp>

#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <iterator>
#include <span>
#include <vector>

namespace refrain {
namespace {

namespace fs = std::filesystem;

constexpr char const* suffix = ".jsonl";
constexpr auto longest_wait = std::chrono::seconds(1);

std::string digest_of(std::string_view text) { return xxh3(std::as_bytes(std::span(text.data(), text.size()))); }

std::pair<fs::path, File> make_file(fs::path const& folder, std::string const& name) {
  for (int number = 1;; ++number) {
    fs::path path = folder / (name + "-" + std::to_string(number) + suffix);
    if (fs::exists(path)) continue;
    File file(path, File::Mode::create_new);
    if (file.is_open()) return {std::move(path), std::move(file)};
    if (errno != EEXIST) throw system_error("make a journal", "check the folder", {.file = path});
  }
}

void read_file_of_journal(fs::path const& path, std::function<void(Json const&)> const& visit) {
  std::string const text = read_file(path);
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t const end = text.find('\n', begin);
    if (end == std::string::npos) return;  // cut off
    std::string_view const line(text.data() + begin, end - begin);
    std::size_t const space = line.find(' ');
    bool const sound = space != std::string_view::npos && digest_of(line.substr(space + 1)) == line.substr(0, space);
    if (!sound && end + 1 == text.size()) return;
    if (!sound)
      throw Error("a line in its middle is damaged", "remove this file: what it holds is done again", {.file = path});
    visit(Json::parse(line.substr(space + 1)));
    begin = end + 1;
  }
}

}  // namespace

JournalWriter::JournalWriter(fs::path const& folder, std::string const& name) : JournalWriter(make_file(folder, name)) {
  sync_path(folder);
}

JournalWriter::JournalWriter(std::pair<fs::path, File> made)
    : path_(std::move(made.first)), file_(std::move(made.second)) {}

void JournalWriter::add(Json const& record) {
  std::string const text = dump_text(record);
  pending_ += digest_of(text) + " " + text + "\n";
}

void JournalWriter::commit() {
  if (failed_ || pending_.empty()) return;
  if (!file_.write_all(pending_) || !file_.sync()) {
    Error const error =
        system_error("write", "free space, then start again: what was committed is kept", {.file = path_});
    failed_ = true;
    file_.set_length(committed_);  // where this fails too, the half line stays the last one, and does not count
    throw error;
  }
  committed_ += std::ssize(pending_);
  pending_.clear();
}

void BatchedJournal::add(Json const& record) {
  file_.add(record);
  if (waiting_++ == 0) oldest_ = std::chrono::steady_clock::now();
  if (waiting_ >= records_) commit();
}

void BatchedJournal::tick() {
  if (waiting_ > 0 && std::chrono::steady_clock::now() - oldest_ > longest_wait) commit();
}

void BatchedJournal::commit() {
  file_.commit();
  waiting_ = 0;
}

void BatchedJournal::commit_after_failure() noexcept {
  try {
    commit();
  } catch (std::exception const&) {}
}

void read_journal(fs::path const& folder, std::function<void(Json const&)> const& visit) {
  std::vector<fs::path> files;
  for (auto const& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == suffix) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (auto const& path : files) read_file_of_journal(path, visit);
}

}  // namespace refrain

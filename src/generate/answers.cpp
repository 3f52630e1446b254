#include "answers.hpp"

#include "unasked.hpp"

#include <refrain/base/counted.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/base/log.hpp>
#include <refrain/h5/reader.hpp>

#include <algorithm>
#include <set>

namespace refrain::generate {
namespace {

namespace fs = std::filesystem;

constexpr char const* settings_key = "identity";
constexpr char const* earlier_key = "earlier";
constexpr char const* models_key = "served_models";
/// Rows that the file is written in.
constexpr int64_t rows_a_piece = 4096;

AnswerKey key_of(h5::Responses const& rows, std::size_t i) {
  return {.language = rows.language[i],
          .row_id = rows.row_id[i],
          .id = rows.id[i],
          .sample = rows.sample[i],
          .prompt = rows.prompt_digest[i]};
}

Finished finished_of(h5::Responses const& rows, std::size_t i) {
  auto const first = rows.tokens.begin() + rows.begin[i];
  return {.tokens = {first, first + rows.length[i]},
          .text = rows.text[i],
          .finish = static_cast<h5::Finish>(rows.finish[i])};
}

/// Answers that are there, each to its place among those that are asked for.
class Sorting {
public:
  Sorting(Asked const& asked, std::vector<std::optional<Finished>>& kept)
      : asked_(asked), kept_(kept), unasked_(asked) {}

  void add(AnswerKey const& key, Finished finished) {
    if (auto const answer = asked_.find(key)) {
      auto& place = kept_[static_cast<std::size_t>(*answer)];
      // An answer stays, a failure gives way to what comes later.
      if (!place || place->failed()) place = std::move(finished);
    } else if (!finished.failed()) {
      unasked_.add(key);
    }
  }
  void require_none_unasked(fs::path const& where) const { unasked_.require_none(where); }

private:
  Asked const& asked_;
  std::vector<std::optional<Finished>>& kept_;
  Unasked unasked_;
};

/// Who made a file and from what, for the provenance of the one that takes its place; the newest first.
Json earlier_files(Json const& before) {
  Json earlier = Json::array(), entry = Json::object();
  for (char const* key : {"started", "version", "git_revision", "host", "slurm", "inputs"})
    if (before.contains(key)) entry[key] = before[key];
  earlier.push_back(std::move(entry));
  for (Json const& older : before.value(earlier_key, Json::array())) earlier.push_back(older);
  return earlier;
}

/// What servers call the models that answered: those of this start's journals and of the file before.
std::set<std::string> served_models(std::vector<std::optional<Finished>> const& kept, Json const& before) {
  std::set<std::string> names;
  for (auto const& finished : kept)
    if (finished && !finished->model.empty()) names.insert(finished->model);
  for (Json const& name : before.value(models_key, Json::array()))
    if (name.is_string()) names.insert(name.get<std::string>());
  return names;
}

bool holds_answers(Parts const& parts) {
  bool any = false;
  read_answers(parts, [&](AnswerKey const&, Finished const& finished) { any = any || !finished.failed(); });
  return any;
}

/// Names of the settings in which two differ.
std::vector<std::string> differing(Json const& a, Json const& b) {
  std::vector<std::string> names;
  for (auto const& [one, other] : {std::pair(&a, &b), std::pair(&b, &a)})
    for (auto const& [name, value] : one->items()) {
      bool const same = other->contains(name) && (one != &a || other->at(name) == value);
      if (!same) names.push_back(name);
    }
  return names;
}

void append(h5::Responses& rows, h5::Prompts const& prompts, std::size_t prompt, AnswerKey const& key,
            Finished const& answer) {
  rows.begin.push_back(static_cast<int64_t>(rows.tokens.size()));
  rows.length.push_back(static_cast<int32_t>(answer.tokens.size()));
  rows.tokens.insert(rows.tokens.end(), answer.tokens.begin(), answer.tokens.end());
  rows.row_id.push_back(key.row_id);
  rows.sample.push_back(static_cast<int32_t>(key.sample));
  rows.finish.push_back(static_cast<int8_t>(answer.finish));
  rows.id.push_back(key.id);
  rows.language.push_back(key.language);
  rows.category.push_back(prompts.category[prompt]);
  rows.style.push_back(prompts.style[prompt]);
  rows.prompt.push_back(prompts.text[prompt]);
  rows.text.push_back(answer.text);
  rows.prompt_digest.push_back(key.prompt);
}

}  // namespace

Answers::Answers(Options const& options, PromptForm form, Json const& settings)
    : options_(options),
      settings_(Json::parse(dump_text(settings))),
      asked_(options, form),
      parts_(options.out),
      finished_(static_cast<std::size_t>(asked_.size())) {}

void Answers::require_settings(Json const& found, fs::path const& where) const {
  if (found == settings_) return;
  auto const names = found.is_object() ? differing(found, settings_) : std::vector<std::string>{};
  throw UsageError("the answers there were made with other settings" + (names.empty() ? "" : ": " + joined(names)),
                   "give the same ones, or name another --out", {.file = where});
}

bool Answers::is_as_asked(h5::Responses const& rows) const {
  h5::Prompts const& prompts = asked_.prompts();
  if (rows.row_id.size() != asked_.rows().size()) return false;
  for (std::size_t i = 0; i < rows.row_id.size(); ++i) {
    auto const [prompt, answer] = asked_.rows()[i];
    if (key_of(rows, i) != asked_.key(answer) || rows.category[i] != prompts.category[prompt] ||
        rows.style[i] != prompts.style[prompt] || rows.prompt[i] != prompts.text[prompt])
      return false;
  }
  return true;
}

void Answers::read_file(Kept& kept, h5::Responses const& rows) const {
  if (rows.prompt_digest.empty() && rows.size() > 0)
    throw UsageError("the answers there do not say to which prompts they are", "name another --out",
                     {.file = options_.out, .object = "/response/prompt_digest"});
  Sorting sorting(asked_, kept);
  for (std::size_t i = 0; i < rows.row_id.size(); ++i) sorting.add(key_of(rows, i), finished_of(rows, i));
  sorting.require_none_unasked(options_.out);
}

Answers::Kept Answers::read_kept() const {
  Kept kept(finished_.size());
  if (fs::exists(options_.out)) read_file(kept, h5::read_responses(options_.out));
  Sorting sorting(asked_, kept);
  read_answers(parts_, [&](AnswerKey const& key, Finished finished) { sorting.add(key, std::move(finished)); });
  sorting.require_none_unasked(parts_.folder());
  return kept;
}

void Answers::open_folder(Purpose purpose) {
  auto const file_is_whole = [&] {
    require_settings(h5::Reader(options_.out, "responses.v1").provenance().value(settings_key, Json()), options_.out);
    auto const rows = h5::read_responses(options_.out);
    Kept kept(finished_.size());
    read_file(kept, rows);
    return is_as_asked(rows) && std::none_of(kept.begin(), kept.end(), [](auto const& one) { return one->failed(); });
  };
  complete_ = fs::exists(options_.out) && file_is_whole();
  bool const takes = parts_.exists() || (!complete_ && purpose == Purpose::go_on);
  if (takes) {
    parts_.take();
    // A start that answered nothing binds nobody to its settings.
    if (holds_answers(parts_))
      require_settings(parts_.settings(), parts_.folder());
    else if (purpose == Purpose::go_on)
      parts_.write_settings(settings_);
  }
  Kept const kept = read_kept();
  for (std::size_t i = 0; i < kept.size(); ++i) {
    finished_[i] = kept[i] && !kept[i]->failed();
    failed_ += kept[i] && kept[i]->failed();
  }
  if (complete_ && takes) parts_.remove();  // left by a start that ended just behind the file's last rename
}

void Answers::open(comm::Communicator const& world, Purpose purpose) {
  comm::agree(world, [&] {
    if (world.rank() == 0) open_folder(purpose);
  });
  complete_ = world.max(int64_t{complete_}) == 1;
  std::string text(finished_.size(), '0');
  for (std::size_t i = 0; i < finished_.size(); ++i) text[i] = finished_[i] ? '1' : '0';
  text = world.broadcast(text, 0);
  for (std::size_t i = 0; i < finished_.size(); ++i) finished_[i] = text[i] == '1';
  if (world.rank() != 0) return;
  if (asked_.left_out() > 0)
    log_line(std::to_string(asked_.left_out()) +
             " prompts of category S4 are left out (--include-category S4 answers them)");
  auto const before = std::count(finished_.begin(), finished_.end(), true);
  if (before > 0 && !complete_)
    log_line(std::to_string(before) + " of " + std::to_string(asked_.size()) + " answers are there already");
  if (failed_ > 0)
    log_line(counted(failed_, "request") + " that failed before " + (failed_ == 1 ? "is" : "are") + " made again");
}

bool Answers::any_finished() const { return std::find(finished_.begin(), finished_.end(), true) != finished_.end(); }

bool Answers::any_kept() const { return any_finished() || holds_answers(parts_); }

std::vector<int64_t> Answers::missing() const { return share(0, 1); }

std::vector<int64_t> Answers::share(int rank, int size) const {
  std::vector<int64_t> answers;
  int64_t unfinished = 0;
  for (int64_t answer = 0; answer < asked_.size(); ++answer)
    if (!finished_[static_cast<std::size_t>(answer)] && unfinished++ % size == rank) answers.push_back(answer);
  return answers;
}

void Answers::write(Provenance provenance, h5::TokenIds tokens) const {
  parts_.require_taken();
  fs::path const& folder = parts_.folder();
  Kept const kept = read_kept();
  if (auto const missing = std::find(kept.begin(), kept.end(), std::nullopt); missing != kept.end())
    throw Error("the answer " + asked_.key(missing - kept.begin()).name() + " is missing",
                "start again: only it is made", {.file = folder});
  auto const failed = std::count_if(kept.begin(), kept.end(), [](auto const& one) { return one->failed(); });
  if (failed == asked_.size())
    throw Error("every request failed; of " + asked_.key(0).name() + " is said: " + kept[0]->error,
                "set right what it names, and start again", {.file = folder});
  provenance.set(settings_key, settings_);
  if (failed > 0) provenance.set("failed", failed);
  bool const replaces = fs::exists(options_.out);
  Json const before = replaces ? h5::Reader(options_.out, "responses.v1").provenance() : Json::object();
  if (auto const models = served_models(kept, before); !models.empty()) provenance.set(models_key, models);
  if (replaces) provenance.set(earlier_key, earlier_files(before));
  h5::ResponsesWriter file(options_.out, provenance.json(), tokens);
  auto const count = static_cast<int64_t>(asked_.rows().size());
  for (int64_t begin = 0; begin < count; begin += rows_a_piece) {
    h5::Responses rows;
    for (int64_t i = begin; i < std::min(count, begin + rows_a_piece); ++i) {
      auto const [prompt, answer] = asked_.rows()[static_cast<std::size_t>(i)];
      append(rows, asked_.prompts(), prompt, asked_.key(answer), *kept[static_cast<std::size_t>(answer)]);
    }
    file.append(rows);
  }
  file.finish();
  parts_.remove();
  log_line(counted(count, "answer") + " in " + options_.out.string() +
           (failed == 0 ? ""
                        : "; of these " + std::to_string(failed) +
                              " failed and are empty: start again to make these requests again"));
}

}  // namespace refrain::generate

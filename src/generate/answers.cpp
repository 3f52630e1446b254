#include "answers.hpp"

#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/h5/reader.hpp>
#include <refrain/h5/responses_file.hpp>

#include <algorithm>

namespace refrain::generate {
namespace {

namespace fs = std::filesystem;

constexpr char const* left_out_category = "S4";
/// Rows that the file is written in.
constexpr int64_t rows_a_piece = 4096;

}  // namespace

Answers::Answers(Options const& options, checkpoint::ModelConfig const& config, Json identity)
    : options_(options),
      identity_(std::move(identity)),
      prompts_(h5::read_prompts(options.prompts)),
      parts_(options.out) {
  bool const with_category = !options.include_category.empty();
  for (int64_t i = 0; i < prompts_.size(); ++i) {
    auto const at = static_cast<std::size_t>(i);
    Place const place{.file = options.prompts, .object = "prompt " + std::to_string(i)};
    if (!with_category && prompts_.category[at] == left_out_category) continue;
    if (prompts_.length[at] == 0)
      throw Error("the prompt has no tokens", "leave it out, or choose a chat template that adds some", place);
    if (prompts_.length[at] >= config.max_position_embeddings)
      throw Error("the prompt has " + std::to_string(prompts_.length[at]) + " tokens, the model sees " +
                      std::to_string(config.max_position_embeddings),
                  "shorten it, or choose a model that sees more", place);
    auto const first = prompts_.tokens.begin() + prompts_.begin[at];
    if (int32_t const highest = *std::max_element(first, first + prompts_.length[at]); highest >= config.vocab_size)
      throw Error("token " + std::to_string(highest) + " is not in the model's vocabulary of " +
                      std::to_string(config.vocab_size),
                  "make the prompts with this model's tokenizer", place);
    longest_ = std::max<int64_t>(longest_, prompts_.length[at]);
    chosen_.push_back(i);
  }
  if (chosen_.empty())
    throw Error("no prompt is left to answer",
                prompts_.size() == 0 ? "name prompts" : "all are of category S4: see --include-category",
                {.file = options.prompts});
  finished_.resize(static_cast<std::size_t>(count()));
  identity_["prompts"] = sha256_file(options.prompts);
  identity_["include_category"] = with_category;
}

std::string Answers::name_of(int64_t id) const {
  std::size_t const at = prompt_of(id);
  return prompts_.language[at] + "/" + std::to_string(prompts_.row_id[at]) + "/" + prompts_.id[at] + "/" +
         std::to_string(id % options_.samples);
}

void Answers::open_folder() {
  if (fs::exists(options_.out)) {
    Json const provenance = h5::Reader(options_.out, "responses.v1").provenance();
    if (provenance.value("identity", Json()) != identity_)
      throw UsageError("--out holds answers to other prompts or with other settings", "name another file, or remove it",
                       {.file = options_.out});
    complete_ = true;
    return;
  }
  parts_.open(identity_, "answers");
  parts_.read([&](Json const& record) {
    auto const id = json_get<int64_t>(record, "id", parts_.folder());
    if (id >= 0 && id < count()) finished_[static_cast<std::size_t>(id)] = true;
  });
}

void Answers::open(comm::Communicator const& world) {
  comm::agree(world, [&] {
    if (world.rank() == 0) open_folder();
  });
  complete_ = world.max(int64_t{complete_}) == 1;
  std::string text(finished_.size(), '0');
  for (std::size_t i = 0; i < finished_.size(); ++i) text[i] = finished_[i] ? '1' : '0';
  text = world.broadcast(text, 0);
  for (std::size_t i = 0; i < finished_.size(); ++i) finished_[i] = text[i] == '1';
  auto const before = std::count(finished_.begin(), finished_.end(), true);
  if (world.rank() == 0 && static_cast<int64_t>(chosen_.size()) < prompts_.size())
    log_line(std::to_string(prompts_.size() - static_cast<int64_t>(chosen_.size())) +
             " prompts of category S4 are left out (--include-category S4 answers them)");
  if (world.rank() == 0 && before > 0)
    log_line(std::to_string(before) + " of " + std::to_string(count()) + " answers are there already");
}

std::vector<int64_t> Answers::share(int rank, int size) const {
  std::vector<int64_t> ids;
  int64_t unfinished = 0;
  for (int64_t id = 0; id < count(); ++id)
    if (!finished_[static_cast<std::size_t>(id)] && unfinished++ % size == rank) ids.push_back(id);
  return ids;
}

inference::Request Answers::request(int64_t id) const {
  std::size_t const at = prompt_of(id);
  auto const first = prompts_.tokens.begin() + prompts_.begin[at];
  return {.id = id,
          .prompt = {first, first + prompts_.length[at]},
          .max_new_tokens = options_.max_new_tokens,
          .random = CounterRandom(static_cast<uint64_t>(options_.seed), "answer/" + name_of(id))};
}

Json Answers::record(inference::Answer const& answer) const {
  return {{"id", answer.id}, {"tokens", answer.tokens}, {"finish", static_cast<int>(answer.finish)}};
}

void Answers::merge(text::Tokenizer const& tokenizer, StopTexts const& stops, Json provenance) {
  fs::path const& folder = parts_.folder();
  std::vector<inference::Answer> answers(finished_.size());
  std::vector<bool> there(finished_.size());
  parts_.read([&](Json const& record) {
    auto const id = static_cast<std::size_t>(json_get<int64_t>(record, "id", folder));
    there[id] = true;
    auto const tokens = json_get<std::vector<int64_t>>(record, "tokens", folder);
    answers[id] = {.id = static_cast<int64_t>(id),
                   .tokens = {tokens.begin(), tokens.end()},
                   .finish = static_cast<h5::Finish>(json_get<int>(record, "finish", folder))};
  });
  if (auto const missing = std::find(there.begin(), there.end(), false); missing != there.end())
    throw Error("answer " + std::to_string(missing - there.begin()) + " is missing", "start again: only it is made",
                {.file = folder});
  provenance["identity"] = identity_;
  h5::ResponsesWriter file(options_.out, provenance);
  for (int64_t begin = 0; begin < count(); begin += rows_a_piece) {
    h5::Responses rows;
    for (int64_t id = begin; id < std::min(count(), begin + rows_a_piece); ++id) {
      std::size_t const at = prompt_of(id);
      auto const& answer = answers[static_cast<std::size_t>(id)];
      rows.begin.push_back(static_cast<int64_t>(rows.tokens.size()));
      rows.length.push_back(static_cast<int32_t>(answer.tokens.size()));
      rows.tokens.insert(rows.tokens.end(), answer.tokens.begin(), answer.tokens.end());
      rows.row_id.push_back(prompts_.row_id[at]);
      rows.sample.push_back(static_cast<int32_t>(id % options_.samples));
      rows.finish.push_back(static_cast<int8_t>(answer.finish));
      rows.id.push_back(prompts_.id[at]);
      rows.language.push_back(prompts_.language[at]);
      rows.category.push_back(prompts_.category[at]);
      rows.style.push_back(prompts_.style[at]);
      rows.prompt.push_back(prompts_.text[at]);
      rows.text.push_back(stops.before(tokenizer.decode(answer.tokens, true)));
    }
    file.append(rows);
  }
  file.finish();
  parts_.remove();
  log_line(std::to_string(count()) + " answers in " + options_.out.string());
}

}  // namespace refrain::generate

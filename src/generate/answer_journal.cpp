#include "answer_journal.hpp"

namespace refrain::generate {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t answers_a_commit = 16;
constexpr auto longest_wait = std::chrono::seconds(1);

}  // namespace

AnswerJournal::AnswerJournal(Parts const& parts, int rank, Asked const& asked)
    : asked_(asked), file_(parts.writer(rank)) {}

void AnswerJournal::add(int64_t answer, Finished const& finished) {
  Json record = Json::object();
  asked_.key(answer).add_to(record);
  record["finish"] = static_cast<int>(finished.finish);
  record["text"] = finished.text;
  if (!finished.tokens.empty()) record["tokens"] = finished.tokens;
  if (finished.failed()) record["error"] = finished.error;
  if (!finished.model.empty()) record["model"] = finished.model;
  file_.add(record);
  if (pending_++ == 0) oldest_ = Clock::now();
  if (pending_ >= answers_a_commit) commit();
}

void AnswerJournal::tick() {
  if (pending_ > 0 && Clock::now() - oldest_ > longest_wait) commit();
}

void AnswerJournal::commit() {
  file_.commit();
  pending_ = 0;
}

void read_answers(Parts const& parts, std::function<void(AnswerKey const&, Finished)> const& visit) {
  auto const& folder = parts.folder();
  parts.read([&](Json const& record) {
    auto const tokens = json_get_or<std::vector<int64_t>>(record, "tokens", {}, folder);
    visit(AnswerKey::from_record(record, folder),
          {.tokens = {tokens.begin(), tokens.end()},
           .text = json_get<std::string>(record, "text", folder),
           .finish = static_cast<h5::Finish>(json_get<int>(record, "finish", folder)),
           .error = json_get_or<std::string>(record, "error", {}, folder),
           .model = json_get_or<std::string>(record, "model", {}, folder)});
  });
}

}  // namespace refrain::generate

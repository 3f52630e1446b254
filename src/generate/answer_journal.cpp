#include "answer_journal.hpp"

namespace refrain::generate {
namespace {

constexpr int64_t answers_a_commit = 16;

}  // namespace

AnswerJournal::AnswerJournal(Parts const& parts, int rank, Asked const& asked)
    : asked_(asked), file_(parts.writer(rank), answers_a_commit) {}

void AnswerJournal::add(int64_t answer, Finished const& finished) {
  Json record = Json::object();
  asked_.key(answer).add_to(record);
  record["finish"] = static_cast<int>(finished.finish);
  record["text"] = finished.text;
  if (!finished.tokens.empty()) record["tokens"] = finished.tokens;
  if (finished.failed()) record["error"] = finished.error;
  if (!finished.model.empty()) record["model"] = finished.model;
  file_.add(record);
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

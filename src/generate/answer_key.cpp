#include "answer_key.hpp"

#include <refrain/base/digest.hpp>

#include <algorithm>
#include <cctype>
#include <span>

namespace refrain::generate {

namespace {

constexpr std::size_t language_length = 8, digest_length = 20;

std::string digest_of(std::string const& text) { return xxh3(std::as_bytes(std::span(text))); }

}  // namespace

std::string AnswerKey::name() const {
  return language + "/" + std::to_string(row_id) + "/" + id + "/" + std::to_string(sample);
}

std::string AnswerKey::custom_id(Json const& settings) const {
  std::string word = language.substr(0, language_length);
  std::replace_if(
      word.begin(), word.end(), [](unsigned char c) { return c >= 0x80 || (std::isalnum(c) == 0 && c != '-'); }, '_');
  Json const all{language, id, prompt, settings};
  return (word.empty() ? "row" : word) + "-" + std::to_string(row_id) + "-" + std::to_string(sample) + "-" +
         digest_of(dump_text(all)).substr(0, digest_length);
}

AnswerKey AnswerKey::from_record(Json const& record, std::filesystem::path const& path) {
  return {.language = json_get<std::string>(record, "language", path),
          .row_id = json_get<int64_t>(record, "row_id", path),
          .id = json_get<std::string>(record, "id", path),
          .sample = json_get<int64_t>(record, "sample", path),
          .prompt = json_get<std::string>(record, "prompt", path)};
}

void AnswerKey::add_to(Json& record) const {
  record["language"] = language;
  record["row_id"] = row_id;
  record["id"] = id;
  record["sample"] = sample;
  record["prompt"] = prompt;
}

}  // namespace refrain::generate

#include <refrain/h5/responses_file.hpp>

#include "columns.hpp"

#include <refrain/h5/token_ranges.hpp>

#include <algorithm>
#include <limits>

namespace refrain::h5 {
namespace {

constexpr char const* schema = "responses.v1";

constexpr char const* begin_name = "/response/begin";
constexpr char const* digest_name = "/response/prompt_digest";

/// All but `/tokens` and the prompts' digests, which may be absent, and `begin`, which a piece counts from its own
/// start.
constexpr auto columns = [](auto& responses, auto const& each) {
  each("/response/length", responses.length);
  each("/response/row_id", responses.row_id);
  each("/response/sample", responses.sample);
  each("/response/finish", responses.finish);
  each("/response/id", responses.id);
  each("/response/language", responses.language);
  each("/response/category", responses.category);
  each("/response/style", responses.style);
  each("/response/prompt", responses.prompt);
  each("/response/text", responses.text);
};

template <class T>
void check_values(std::vector<T> const& values, T least, T most, char const* name, std::filesystem::path const& path) {
  auto const wrong = std::find_if(values.begin(), values.end(), [&](T value) { return value < least || value > most; });
  if (wrong == values.end()) return;
  throw Error("row " + std::to_string(wrong - values.begin()) + " is " + std::to_string(*wrong) + ", outside " +
                  std::to_string(least) + " to " + std::to_string(most),
              "the file is damaged or not ours: make it again with refrain-generate", {.file = path, .object = name});
}

}  // namespace

Responses read_responses(std::filesystem::path const& path) {
  Reader const file(path, schema);
  auto responses = read_columns<Responses>(file, columns);
  responses.begin = file.read<int64_t>(begin_name);
  if (file.contains("/tokens")) responses.tokens = file.read<int32_t>("/tokens");
  if (file.contains_text(digest_name)) responses.prompt_digest = file.read_text(digest_name);
  check_ranges({begin_name, "/response/length", responses.begin, responses.length},
               static_cast<int64_t>(responses.tokens.size()), 0, path);
  check_token_ids(responses.tokens, path);
  check_values<int32_t>(responses.sample, 0, std::numeric_limits<int32_t>::max(), "/response/sample", path);
  check_values<int8_t>(responses.finish, 0, static_cast<int8_t>(Finish::error), "/response/finish", path);
  return responses;
}

ResponsesWriter::ResponsesWriter(std::filesystem::path path, Json const& provenance, TokenIds tokens)
    : file_(std::move(path), schema, provenance), kept_(tokens) {
  append({});
}

void ResponsesWriter::append(Responses const& rows) {
  auto begin = rows.begin;
  for (auto& place : begin) place += token_count_;
  file_.append(begin_name, begin);
  append_columns(file_, rows, columns);
  if (!rows.prompt_digest.empty()) file_.append_text(digest_name, rows.prompt_digest);
  if (kept_ == TokenIds::none) return;
  file_.append("/tokens", rows.tokens);
  token_count_ += static_cast<int64_t>(rows.tokens.size());
}

void ResponsesWriter::finish() { file_.finish(); }

}  // namespace refrain::h5

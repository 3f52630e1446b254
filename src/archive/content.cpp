#include <refrain/archive/content.hpp>

#include <refrain/archive/flagged.hpp>
#include <refrain/base/anonymous.hpp>
#include <refrain/base/counted.hpp>
#include <refrain/base/digest.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/guarded_category.hpp>
#include <refrain/base/json_lines.hpp>
#include <refrain/base/line_log.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/h5/prompts_file.hpp>

#include <algorithm>

namespace refrain::archive {
namespace {

namespace fs = std::filesystem;

constexpr char identity[] = "hosts, paths and ids";

Content whole(fs::path const& file) {
  return {.source = Source::of_file(file), .without = {}, .original = {}, .why_not = {}};
}

Content left_out(std::string why) { return {.source = {}, .without = {}, .original = {}, .why_not = std::move(why)}; }

/// `text` in place of the file's own bytes.
Content changed(fs::path const& file, std::string text) {
  return {.source = Source::of_text(std::move(text)),
          .without = identity,
          .original = Source::of_file(file).extent(),
          .why_not = {}};
}

/// Blanks the texts of some rows. @returns how many had one
int64_t blank(std::vector<std::string>& texts, std::vector<bool> const& withheld) {
  int64_t count = 0;
  for (std::size_t row = 0; row < texts.size(); ++row)
    if (withheld[row] && !texts[row].empty()) {
      texts[row].clear();
      ++count;
    }
  return count;
}

/// Takes the tokens of some rows out of the pool. Rows keep their order; `begin` and `length` of those are 0.
void drop_tokens(std::vector<int32_t>& tokens, std::vector<int64_t>& begin, std::vector<int32_t>& length,
                 std::vector<bool> const& withheld) {
  std::vector<int32_t> kept;
  for (std::size_t row = 0; row < begin.size(); ++row) {
    if (withheld[row]) length[row] = 0;
    auto const from = tokens.begin() + begin[row];
    begin[row] = static_cast<int64_t>(length[row] == 0 ? 0 : kept.size());
    kept.insert(kept.end(), from, from + length[row]);
  }
  tokens = std::move(kept);
}

/// Rows of numbers, whose keys alone look like paths ("rewards/margins"), name nobody.
bool has_text(Json const& value) {
  return value.is_string() || (value.is_structured() && std::any_of(value.begin(), value.end(), has_text));
}

bool any(std::vector<bool> const& flags) { return std::find(flags.begin(), flags.end(), true) != flags.end(); }

std::vector<bool> guarded_rows(std::vector<std::string> const& categories) {
  std::vector<bool> guarded;
  for (auto const& category : categories) guarded.push_back(category.empty() || names_guarded(category));
  return guarded;
}

}  // namespace

ContentMaker::ContentMaker(Options const& options, Collection const& found, fs::path scratch)
    : options_(options), scratch_(std::move(scratch)) {
  for (auto const& file : found.files) {
    if (file.kind != Kind::data) continue;
    h5::Reader const reader(file.file);
    if (reader.schema() == "verdicts.v1")
      verdicts_[json_get_or<std::string>(reader.provenance(), "responses_sha256", "", file.file)].push_back(file.file);
  }
  verdicts_.erase("");
}

ContentMaker::~ContentMaker() {
  std::error_code ignored;
  fs::remove(scratch_, ignored);
}

Content ContentMaker::of(FoundFile const& file) {
  switch (file.kind) {
    case Kind::sealed:
    case Kind::json: return of_record(file);
    case Kind::lines: return of_lines(file);
    case Kind::data: return of_data(file);
    case Kind::plain: break;
  }
  return whole(file.file);
}

Content ContentMaker::of_record(FoundFile const& file) const {
  bool const sealed = file.kind == Kind::sealed;
  auto const value = sealed ? read_sealed_json(file.file) : read_json(file.file);
  // metrics.jsonl has no digest of its own, and may be gone altogether.
  if (file.file.filename() == "status.json" && value.contains("metrics"))
    LineLog::check(file.file.parent_path() / "metrics.jsonl", value.at("metrics"));
  auto const shown = options_.anonymous ? anonymised(value) : value;
  if (shown == value) return whole(file.file);
  return changed(file.file, sealed ? sealed_json(shown) : dump_text(shown, 2) + "\n");
}

Content ContentMaker::of_lines(FoundFile const& file) const {
  if (!options_.anonymous) return whole(file.file);
  auto const before = read_file(file.file);
  bool same = before.empty() || before.back() == '\n';  // what was cut off goes: nobody can tell what it names
  std::string text;
  for (auto const& value : parse_json_lines(before, file.file)) {
    auto const shown = has_text(value) ? anonymised(value) : value;
    same = same && shown == value;
    text += dump_text(shown) + "\n";
  }
  return same ? whole(file.file) : changed(file.file, text);
}

Content ContentMaker::of_data(FoundFile const& file) {
  h5::Reader const reader(file.file);
  read_through(reader);
  auto const& schema = reader.schema();
  if (schema == "responses.v1") return of_answers(file, reader);
  if (schema == "prompts.v1") return of_prompts(file, reader);
  if (schema == "pairs.v1") return of_pairs(file, reader);
  if (schema == "metrics.v1" || schema == "reference.v1" || schema == "verdicts.v1")
    return data_without(file, reader, {}, {});
  return left_out("a file of kind " + schema + ", which archives do not take");
}

Content ContentMaker::data_without(FoundFile const& file, h5::Reader const& reader, std::string text,
                                   Columns const& columns) {
  auto provenance = options_.anonymous ? anonymised(reader.provenance()) : reader.provenance();
  if (options_.anonymous) text += (text.empty() ? "" : "; ") + std::string(identity);
  if (text.empty()) return whole(file.file);
  auto const original = Source::of_file(file.file).extent();
  provenance["archive"] = {{"without", text}, {"original_sha256", original.sha256}};
  rewrite(reader, scratch_, provenance, columns);
  return {.source = Source::of_file(scratch_), .without = text, .original = original, .why_not = {}};
}

Content ContentMaker::of_answers(FoundFile const& file, h5::Reader const& reader) {
  auto answers = h5::read_responses(file.file);
  auto const judged = verdicts_.find(sha256_file(file.file));
  auto const withheld =
      withheld_of(answers, judged == verdicts_.end() ? std::vector<fs::path>{} : judged->second, options_);
  auto const prompts = blank(answers.prompt, withheld.prompt);
  auto const texts = blank(answers.text, withheld.answer);
  if (prompts == 0 && texts == 0) return data_without(file, reader, {}, {});
  Columns columns{{"/response/prompt", answers.prompt}, {"/response/text", answers.text}};
  if (reader.contains("/tokens")) {
    drop_tokens(answers.tokens, answers.begin, answers.length, withheld.answer);
    columns["/tokens"] = answers.tokens;
    columns["/response/begin"] = answers.begin;
    columns["/response/length"] = answers.length;
  }
  std::string text = "the text of ";
  if (texts > 0) text += counted(texts, "answer");
  if (prompts > 0) text += (texts > 0 ? " and " : "") + counted(prompts, "prompt");
  return data_without(file, reader, text, columns);
}

Content ContentMaker::of_prompts(FoundFile const& file, h5::Reader const& reader) {
  auto prompts = h5::read_prompts(file.file);
  auto const withheld = guarded_rows(prompts.category);
  if (options_.include_guarded() || !any(withheld)) return data_without(file, reader, {}, {});
  auto const texts = std::count(withheld.begin(), withheld.end(), true);
  blank(prompts.text, withheld);
  blank(prompts.turns, withheld);
  drop_tokens(prompts.tokens, prompts.begin, prompts.length, withheld);
  Columns columns{{"/tokens", prompts.tokens},
                  {"/prompt/begin", prompts.begin},
                  {"/prompt/length", prompts.length},
                  {"/prompt/text", prompts.text}};
  if (!prompts.turns.empty()) columns["/prompt/turns"] = prompts.turns;
  return data_without(file, reader, "the text of " + counted(texts, "prompt"), columns);
}

Content ContentMaker::of_pairs(FoundFile const& file, h5::Reader const& reader) {
  if (!options_.include_text) return left_out("pairs, whose rejected answers --include-text takes");
  if (!options_.include_guarded() && any(guarded_rows(reader.read_text("/pair/category"))))
    return left_out("pairs of S4 or of no category, which --include-category S4 takes");
  return data_without(file, reader, {}, {});
}

}  // namespace refrain::archive

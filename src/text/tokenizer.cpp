#include <refrain/base/error.hpp>
#include <refrain/text/added_tokens.hpp>
#include <refrain/text/bpe.hpp>
#include <refrain/text/pipeline.hpp>
#include <refrain/text/special_tokens.hpp>
#include <refrain/text/text_frame.hpp>
#include <refrain/text/tokenizer.hpp>
#include <refrain/text/tokenizer_file.hpp>
#include <refrain/text/unicode.hpp>

#include <algorithm>
#include <map>

namespace refrain::text {
namespace {

Json part(TokenizerFile const& file, char const* name) { return file.rest.contains(name) ? file.rest[name] : Json(); }

}  // namespace

struct Tokenizer::State {
  explicit State(TokenizerFile const& file)
      : normalizer(part(file, "normalizer"), file.path),
        pre_tokenizer(part(file, "pre_tokenizer"), file.path),
        decoder(part(file, "decoder"), file.path),
        model(file, pre_tokenizer.byte_level() ? Alphabet::byte_level : Alphabet::text) {}

  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Decoder decoder;
  Bpe model;
  std::map<int32_t, AddedToken> added;
  TokenFinder in_text, in_normalized;
  std::string bos, eos;
  int32_t bos_id = -1, eos_id = -1;
  TextFrame frame;
  std::filesystem::path path;
  int64_t vocab_size = 0;
  Bpe::Workspace workspace;  ///< with the regex's: kept from call to call
  RegexSplitter::Scratch scratch;

  int32_t id_of(std::string const& token) const;
  std::string token_of(int32_t id) const;
  std::string written(AddedToken const& token) const;
  void add(AddedToken token);
  void find_added_tokens(bool split_special_tokens);
};

int32_t Tokenizer::State::id_of(std::string const& token) const {
  for (auto const& [id, other] : added)
    if (other.content == token) return id;
  return model.find(token);
}

std::string Tokenizer::State::token_of(int32_t id) const {
  auto const found = added.find(id);
  return found != added.end() ? written(found->second) : std::string(model.token(id));
}

/// As `tokenizers`, whatever id a file gives: that of a token which the model has is the model's, a new one comes
/// behind all others.
void Tokenizer::State::add(AddedToken token) {
  if (token.content.empty()) return;
  token.id = id_of(token.content);
  if (token.id < 0) {
    auto const size = static_cast<int32_t>(model.size());
    token.id = added.empty() ? size : std::max(size, added.rbegin()->first + 1);
  }
  vocab_size = std::max<int64_t>(vocab_size, token.id + 1);
  added[token.id] = std::move(token);
}

/// How the vocabulary writes an added token.
std::string Tokenizer::State::written(AddedToken const& token) const {
  return token.normalized ? normalizer.apply(token.content) : token.content;
}

void Tokenizer::State::find_added_tokens(bool split_special_tokens) {
  for (auto const& [id, token] : added) {
    bool const passed_over = split_special_tokens && token.special;
    (token.normalized ? in_normalized : in_text).add(written(token), token, passed_over);
  }
}

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(std::filesystem::path const& folder) {
  TokenizerFile file = TokenizerFile::read(folder / "tokenizer.json");
  TokenizerClass const built_as = apply_tokenizer_class(file, folder);
  auto state = std::make_unique<State>(file);
  state->vocab_size = state->model.end_id();
  std::vector<AddedToken> own;
  if (Json const tokens = part(file, "added_tokens"); tokens.is_array())
    for (Json const& token : tokens) own.push_back(AddedToken::from_json(token, file.path));
  SpecialTokens const special = SpecialTokens::read(folder, built_as, own);
  if (!special.without_own)
    for (AddedToken const& token : own) state->add(token);
  for (AddedToken const& token : special.added) state->add(token);
  state->find_added_tokens(special.split_special_tokens);
  state->bos = special.bos_by_id < 0 ? special.bos : state->token_of(special.bos_by_id);
  state->eos = special.eos_by_id < 0 ? special.eos : state->token_of(special.eos_by_id);
  if (!state->bos.empty()) state->bos_id = state->id_of(state->bos);
  if (!state->eos.empty()) state->eos_id = state->id_of(state->eos);
  state->path = file.path;
  state->frame = TextFrame::read(part(file, "post_processor"), file.path);
  return Tokenizer(std::move(state));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  if (std::size_t const bad = find_invalid_utf8(text); bad != text.npos)
    throw Error("the text is not UTF-8 at byte " + std::to_string(bad), "convert it to UTF-8");
  State& state = *state_;
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 4);
  PreTokenizer::Sink const encode_piece = [&](std::string_view piece) {
    state.model.encode(piece, state.workspace, ids);
  };
  auto const encode_text = [&](std::string_view piece, bool at_start) {
    state.pre_tokenizer.cut(piece, at_start, state.scratch, encode_piece);
  };
  auto const encode_normalized = [&](std::string_view normalized, bool at_start) {
    if (state.in_normalized.empty()) return encode_text(normalized, at_start);
    state.in_normalized.cut(normalized, [&](TokenFinder::Piece piece) {
      if (piece.id >= 0)
        ids.push_back(piece.id);
      else
        encode_text(piece.text, at_start && piece.text.data() == normalized.data());
    });
  };
  state.in_text.cut(text, [&](TokenFinder::Piece piece) {
    bool const at_start = piece.text.data() == text.data();
    if (piece.id >= 0)
      ids.push_back(piece.id);
    else if (state.normalizer.empty())
      encode_normalized(piece.text, at_start);
    else
      encode_normalized(state.normalizer.apply(piece.text), at_start);
  });
  return ids;
}

std::vector<int32_t> Tokenizer::encode_with_special(std::string_view text) const {
  TextFrame const& frame = state_->frame;
  if (!frame.unknown.empty()) refuse_component(state_->path, "post_processor", frame.unknown);
  std::vector<int32_t> ids = encode(text);
  ids.insert(ids.begin(), frame.before.begin(), frame.before.end());
  ids.insert(ids.end(), frame.after.begin(), frame.after.end());
  return ids;
}

std::string Tokenizer::decode(std::vector<int32_t> const& ids, bool skip_special) const {
  std::vector<std::string> tokens;
  for (int32_t const id : ids) {
    auto const added = state_->added.find(id);
    bool const is_added = added != state_->added.end();
    if (!is_added && !state_->model.has(id)) continue;
    std::string token = state_->token_of(id);
    // `tokenizers` compares what is written: a special token that its normaliser changes is not left out.
    if (is_added && skip_special && added->second.special && added->second.content == token) continue;
    tokens.push_back(std::move(token));
  }
  return state_->decoder.apply(std::move(tokens));
}

int64_t Tokenizer::vocab_size() const noexcept { return state_->vocab_size; }
std::string const& Tokenizer::bos_token() const noexcept { return state_->bos; }
std::string const& Tokenizer::eos_token() const noexcept { return state_->eos; }
int32_t Tokenizer::bos_id() const noexcept { return state_->bos_id; }
int32_t Tokenizer::eos_id() const noexcept { return state_->eos_id; }

}  // namespace refrain::text

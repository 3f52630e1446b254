#include <refrain/base/joined.hpp>
#include <refrain/text/bpe.hpp>
#include <refrain/text/pipeline.hpp>
#include <refrain/text/tokenizer_file.hpp>
#include <refrain/text/unicode.hpp>

#include <charconv>

namespace refrain::text {
namespace {

using Tokens = std::vector<std::string>;

/// Tokens with a character outside the byte-level alphabet (added ones) stand for themselves.
void decode_byte_level(Tokens& tokens) {
  std::string bytes, part;
  for (std::string const& token : tokens) bytes += byte_level_bytes(token, part) ? part : token;
  tokens = {to_valid_utf8(bytes)};
}

/// The byte of "<0x0A>", or -1.
int fallback_byte(std::string const& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int byte = -1;
  auto const [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  return error == std::errc() && end == token.data() + 5 ? byte : -1;
}

/// Runs of byte tokens become their text; in a run that is not UTF-8 each byte becomes U+FFFD.
void decode_byte_fallback(Tokens& tokens) {
  Tokens out;
  std::string run;
  auto const flush = [&] {
    if (run.empty()) return;
    if (find_invalid_utf8(run) == std::string::npos)
      out.push_back(run);
    else
      out.insert(out.end(), run.size(), "\xEF\xBF\xBD");
    run.clear();
  };
  for (std::string& token : tokens) {
    if (int const byte = fallback_byte(token); byte >= 0) {
      run += static_cast<char>(byte);
    } else {
      flush();
      out.push_back(std::move(token));
    }
  }
  flush();
  tokens = std::move(out);
}

void decode_strip(Tokens& tokens, std::string const& content, int start, int stop) {
  for (std::string& token : tokens) {
    std::string_view rest = token;
    for (int i = 0; i < start && rest.starts_with(content); ++i) rest.remove_prefix(content.size());
    for (int i = 0; i < stop && rest.ends_with(content); ++i) rest.remove_suffix(content.size());
    token = std::string(rest);
  }
}

}  // namespace

Decoder::Decoder(Json const& value, std::filesystem::path const& path) : absent_(value.is_null()) {
  if (!absent_) add(value, path);
}

void Decoder::add(Json const& value, std::filesystem::path const& path) {
  auto const type = json_get<std::string>(value, "type", path);
  if (type == "Sequence") {
    for (Json const& step : json_get<std::vector<Json>>(value, "decoders", path)) add(step, path);
  } else if (type == "ByteLevel") {
    steps_.push_back(decode_byte_level);
  } else if (type == "ByteFallback") {
    steps_.push_back(decode_byte_fallback);
  } else if (type == "Fuse") {
    steps_.push_back([](Tokens& tokens) { tokens = {joined(tokens, "")}; });
  } else if (type == "Strip") {
    auto const content = json_get<std::string>(value, "content", path);
    int const start = json_get<int>(value, "start", path), stop = json_get<int>(value, "stop", path);
    steps_.push_back([=](Tokens& tokens) { decode_strip(tokens, content, start, stop); });
  } else if (type == "Replace") {
    auto const pattern = json_get<Json>(value, "pattern", path);
    if (!pattern.contains("String")) refuse_component(path, "decoder Replace", "with a regular expression");
    auto const from = json_get<std::string>(pattern, "String", path);
    auto const to = json_get<std::string>(value, "content", path);
    steps_.push_back([=](Tokens& tokens) {
      for (std::string& token : tokens) token = replace_all(token, from, to);
    });
  } else if (type == "Metaspace") {
    bool const prefix_space = json_get_or<bool>(value, "add_prefix_space", true, path);
    auto const scheme = json_get_or<std::string>(value, "prepend_scheme", prefix_space ? "always" : "never", path);
    steps_.push_back([mark = json_get<std::string>(value, "replacement", path), scheme](Tokens& tokens) {
      for (std::size_t i = 0; i < tokens.size(); ++i)
        tokens[i] = replace_all(tokens[i], mark, i == 0 && scheme != "never" ? "" : " ");
    });
  } else {
    refuse_component(path, "decoder", type);
  }
}

std::string Decoder::apply(std::vector<std::string> tokens) const {
  if (absent_) return joined(tokens, " ");
  for (Step const& step : steps_) step(tokens);
  return joined(tokens, "");
}

}  // namespace refrain::text

#include <refrain/base/error.hpp>
#include <refrain/text/pipeline.hpp>
#include <refrain/text/tokenizer_file.hpp>
#include <refrain/text/unicode.hpp>

namespace refrain::text {
namespace {

/// GPT-2's pattern, which ByteLevel uses unless use_regex is false.
constexpr char const* byte_level_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace

PreTokenizer::PreTokenizer(Json const& value, std::filesystem::path const& path) {
  if (!value.is_null()) add(value, path);
}

void PreTokenizer::add(Json const& value, std::filesystem::path const& path) {
  auto const type = json_get<std::string>(value, "type", path);
  if (type == "Sequence") {
    for (Json const& step : json_get<std::vector<Json>>(value, "pretokenizers", path)) add(step, path);
    return;
  }
  if (byte_level_) refuse_component(path, "pre_tokenizer", type + " behind ByteLevel");
  if (type == "Split") {
    add_split(value, path);
  } else if (type == "ByteLevel") {
    byte_level_ = true;
    if (json_get_or<bool>(value, "add_prefix_space", true, path)) steps_.emplace_back(std::in_place_type<PrefixSpace>);
    if (json_get_or<bool>(value, "use_regex", true, path))
      steps_.emplace_back(std::in_place_type<Split>,
                          Split{RegexSplitter(byte_level_pattern, path), "", Behavior::isolated, false});
  } else if (type == "Metaspace") {
    add_metaspace(value, path);
  } else {
    refuse_component(path, "pre_tokenizer", type);
  }
}

void PreTokenizer::add_split(Json const& value, std::filesystem::path const& path) {
  Split split{std::nullopt, "", Behavior::isolated, json_get_or<bool>(value, "invert", false, path)};
  auto const behavior = json_get<std::string>(value, "behavior", path);
  if (behavior == "Removed")
    split.behavior = Behavior::removed;
  else if (behavior != "Isolated")
    refuse_component(path, "pre_tokenizer Split with behavior", behavior);
  auto const pattern = json_get<Json>(value, "pattern", path);
  if (pattern.contains("Regex"))
    split.regex.emplace(json_get<std::string>(pattern, "Regex", path), path);
  else
    split.literal = json_get<std::string>(pattern, "String", path);
  if (!split.regex && split.literal.empty()) refuse_component(path, "pre_tokenizer Split", "with an empty pattern");
  steps_.emplace_back(std::in_place_type<Split>, std::move(split));
}

void PreTokenizer::add_metaspace(Json const& value, std::filesystem::path const& path) {
  Metaspace metaspace{json_get<std::string>(value, "replacement", path), PrependScheme::always,
                      json_get_or<bool>(value, "split", true, path)};
  bool const prefix_space = json_get_or<bool>(value, "add_prefix_space", true, path);  // the older always and never
  auto const scheme = json_get_or<std::string>(value, "prepend_scheme", prefix_space ? "always" : "never", path);
  if (scheme == "first")
    metaspace.prepend = PrependScheme::first;
  else if (scheme == "never")
    metaspace.prepend = PrependScheme::never;
  else if (scheme != "always")
    refuse_component(path, "pre_tokenizer Metaspace with prepend_scheme", scheme);
  steps_.emplace_back(std::in_place_type<Metaspace>, std::move(metaspace));
}

void PreTokenizer::cut(std::string_view text, bool at_start, RegexSplitter::Scratch& scratch, Sink const& sink) const {
  run(0, text, at_start, scratch, sink);
}

bool PreTokenizer::find(Split const& split, std::string_view text, std::size_t from, RegexSplitter::Scratch& scratch,
                        std::size_t& begin, std::size_t& end) {
  if (split.regex) return split.regex->find(text, from, scratch, begin, end);
  begin = text.find(split.literal, from);
  end = begin + split.literal.size();
  return begin != text.npos;
}

void PreTokenizer::run(std::size_t step, std::string_view text, bool at_start, RegexSplitter::Scratch& scratch,
                       Sink const& sink) const {
  if (text.empty()) return;
  if (step == steps_.size()) return sink(text);
  auto const next = [&](std::string_view piece) {
    run(step + 1, piece, at_start && piece.data() == text.data(), scratch, sink);
  };
  if (auto const* split = std::get_if<Split>(&steps_[step])) {
    bool const keep_matches = split->behavior == Behavior::isolated || split->invert;
    bool const keep_between = split->behavior == Behavior::isolated || !split->invert;
    std::size_t behind = 0, from = 0, begin = 0, end = 0;
    while (from <= text.size() && find(*split, text, from, scratch, begin, end)) {
      if (keep_between && begin > behind) next(text.substr(behind, begin - behind));
      if (keep_matches && end > begin) next(text.substr(begin, end - begin));
      behind = from = end;
      if (end > begin) continue;
      if (end == text.size()) break;
      next_code_point(text, from);  // an empty match: look on behind the next character
    }
    if (keep_between && behind < text.size()) next(text.substr(behind));
  } else if (std::holds_alternative<PrefixSpace>(steps_[step])) {
    if (text[0] == ' ') return next(text);
    std::string const prefixed = " " + std::string(text);
    run(step + 1, prefixed, at_start, scratch, sink);
  } else {
    auto const& metaspace = std::get<Metaspace>(steps_[step]);
    std::string marked = replace_all(text, " ", metaspace.mark);
    bool const always = metaspace.prepend == PrependScheme::always;
    bool const wanted = always || (at_start && metaspace.prepend == PrependScheme::first);
    if (wanted && !marked.starts_with(metaspace.mark)) marked.insert(0, metaspace.mark);
    std::string_view rest = marked;
    if (metaspace.split)
      for (std::size_t at; (at = rest.find(metaspace.mark, 1)) != rest.npos; rest.remove_prefix(at))
        run(step + 1, rest.substr(0, at), at_start && rest.data() == marked.data(), scratch, sink);
    run(step + 1, rest, at_start && rest.data() == marked.data(), scratch, sink);
  }
}

}  // namespace refrain::text

#include <refrain/text/pipeline.hpp>
#include <refrain/text/tokenizer_file.hpp>
#include <refrain/text/unicode.hpp>

namespace refrain::text {

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  if (from.empty()) return out.append(text);
  for (;;) {
    std::size_t const at = text.find(from);
    if (at == text.npos) return out.append(text);
    out.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
  }
}

Normalizer::Normalizer(Json const& value, std::filesystem::path const& path) {
  if (!value.is_null()) add(value, path);
}

void Normalizer::add(Json const& value, std::filesystem::path const& path) {
  auto const type = json_get<std::string>(value, "type", path);
  if (type == "Sequence") {
    for (Json const& step : json_get<std::vector<Json>>(value, "normalizers", path)) add(step, path);
  } else if (type == "Prepend") {
    steps_.push_back(Prepend{json_get<std::string>(value, "prepend", path)});
  } else if (type == "Replace") {
    auto const pattern = json_get<Json>(value, "pattern", path);
    if (!pattern.contains("String")) refuse_component(path, "normalizer Replace", "with a regular expression");
    steps_.push_back(
        Replace{json_get<std::string>(pattern, "String", path), json_get<std::string>(value, "content", path)});
  } else if (type == "NFC") {
    steps_.emplace_back(Nfc{});
  } else {
    refuse_component(path, "normalizer", type);
  }
}

std::string Normalizer::apply(std::string_view text) const {
  std::string out(text);
  for (auto const& step : steps_) {
    if (auto const* prepend = std::get_if<Prepend>(&step)) {
      if (!out.empty()) out.insert(0, prepend->text);
    } else if (auto const* replace = std::get_if<Replace>(&step)) {
      out = replace_all(out, replace->from, replace->to);
    } else {
      out = to_nfc(std::move(out));
    }
  }
  return out;
}

}  // namespace refrain::text

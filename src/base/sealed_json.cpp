#include <refrain/base/digest.hpp>
#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/sealed_json.hpp>

namespace refrain {
namespace {

constexpr std::string_view key = "\"sha256\": \"", tail = "\"\n}\n";
constexpr std::size_t digits = 64;

}  // namespace

std::string sealed_json(Json value) {
  value.erase("sha256");
  auto text = dump_text(value, 2);
  // Opens the object again: "...\n}" becomes "...,\n  ", and "{}" becomes "{\n  ".
  text.pop_back();
  if (!value.empty()) text.back() = ',';
  text += "\n  ";
  return text + std::string(key) + sha256(text) + std::string(tail);
}

void write_sealed_json(std::filesystem::path const& path, Json value) {
  write_file_atomically(path, sealed_json(std::move(value)));
}

Json read_sealed_json(std::filesystem::path const& path) { return parse_sealed_json(read_file(path), {.file = path}); }

Json parse_sealed_json(std::string_view text, Place const& place) {
  auto const remedy = "the file was changed or damaged; make it again";
  Place const at{.file = place.file, .object = place.object.empty() ? "sha256" : place.object};
  auto const seal = key.size() + digits + tail.size();
  if (text.size() < seal || text.compare(text.size() - tail.size(), tail.size(), tail) != 0 ||
      text.compare(text.size() - seal, key.size(), key) != 0) {
    parse_json(text, place.file);
    throw Error("the file does not end with its sha256", remedy, at);
  }
  auto const body = text.substr(0, text.size() - seal);
  if (sha256(body) != text.substr(text.size() - tail.size() - digits, digits))
    throw Error("the file does not match its sha256", remedy, at);
  auto value = parse_json(text, place.file);
  value.erase("sha256");
  return value;
}

}  // namespace refrain

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/json_file.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

namespace refrain {
namespace {

/// The beginning of a text, whole characters of it.
std::string shortened(std::string const& text) {
  constexpr std::size_t most_bytes = 40;
  if (text.size() <= most_bytes) return text;
  std::string const mark = "...";
  auto end = most_bytes - mark.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + mark;
}

/// nlohmann's message without its id and without the position, which Place carries. Of the token that it quotes, which
/// may be any bytes and as long as the file, the beginning.
std::string reason_of(nlohmann::detail::exception const& error) {
  std::string text = error.what();
  if (auto const at = text.find("syntax error"); at != std::string::npos)
    text = text.substr(at);
  else if (auto const colon = text.find(": "); colon != std::string::npos)
    text = text.substr(colon + 2);
  std::string const quotes = "; last read: '", expected = "'; expected ";
  auto const begin = text.find(quotes);
  if (begin == std::string::npos) return text;
  auto const token = begin + quotes.size();
  auto const end = std::min(text.rfind(expected), text.rfind('\''));
  return text.substr(0, token - 1) + dump_text(shortened(text.substr(token, end - token))) + text.substr(end + 1);
}

std::string position_of(std::string_view text, std::size_t byte) {
  std::string_view const before = text.substr(0, std::min(byte > 0 ? byte - 1 : 0, text.size()));
  auto const line = 1 + std::count(before.begin(), before.end(), '\n');
  auto const start = before.rfind('\n');
  auto const column = start == std::string_view::npos ? before.size() + 1 : before.size() - start;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

template <class T>
struct Reader;

template <>
struct Reader<std::string> {
  static constexpr char const* wanted = "a string";
  static bool read(Json const& value, std::string& out) {
    if (!value.is_string()) return false;
    out = value.get<std::string>();
    return true;
  }
};

template <>
struct Reader<bool> {
  static constexpr char const* wanted = "true or false";
  static bool read(Json const& value, bool& out) {
    if (!value.is_boolean()) return false;
    out = value.get<bool>();
    return true;
  }
};

template <class T>
  requires std::is_integral_v<T>
struct Reader<T> {
  static constexpr char const* wanted = std::is_unsigned_v<T> ? "a whole number of at least 0" : "a whole number";
  static bool read(Json const& value, T& out) {
    if (value.is_number_unsigned()) {
      auto const number = value.get<uint64_t>();
      if (number > static_cast<uint64_t>(std::numeric_limits<T>::max())) return false;
      out = static_cast<T>(number);
      return true;
    }
    if (!value.is_number_integer()) return false;
    auto const number = value.get<int64_t>();
    if (std::is_unsigned_v<T> || number < static_cast<int64_t>(std::numeric_limits<T>::min())) return false;
    out = static_cast<T>(number);
    return true;
  }
};

template <class T>
  requires std::is_floating_point_v<T>
struct Reader<T> {
  static constexpr char const* wanted = "a number";
  static bool read(Json const& value, T& out) {
    if (!value.is_number()) return false;
    out = value.get<T>();
    return true;
  }
};

template <>
struct Reader<Json> {
  static constexpr char const* wanted = "a value";
  static bool read(Json const& value, Json& out) {
    out = value;
    return true;
  }
};

template <class T>
struct Reader<std::vector<T>> {
  static constexpr char const* wanted = std::is_same_v<T, std::string> ? "a list of strings" : "a list of numbers";
  static bool read(Json const& value, std::vector<T>& out) {
    if (!value.is_array()) return false;
    out.clear();
    for (Json const& item : value) {
      T element{};
      if (!Reader<T>::read(item, element)) return false;
      out.push_back(std::move(element));
    }
    return true;
  }
};

std::string described(Json const& value) {
  if (value.is_structured()) return value.is_array() ? "a list" : "an object";
  return shortened(dump_text(value));
}

template <class T>
T read_as(Json const& value, std::string const& key, std::filesystem::path const& path) {
  T out{};
  if (!Reader<T>::read(value, out))
    throw Error("'" + key + "' is " + described(value) + ", should be " + Reader<T>::wanted, "correct the file",
                {.file = path, .object = key});
  return out;
}

void require_object(Json const& object, std::string const& key, std::filesystem::path const& path) {
  if (!object.is_object())
    throw Error("an object with '" + key + "' is wanted, here stands " + described(object), "correct the file",
                {.file = path});
}

}  // namespace

Error broken_json(std::string_view text, nlohmann::detail::exception const& error, std::size_t byte,
                  std::filesystem::path const& path) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return Error("the file is empty, where JSON is wanted", "make it again", {.file = path});
  return Error("broken JSON: " + reason_of(error), "correct the file or make it again",
               {.file = path, .object = position_of(text, byte)});
}

Json parse_json(std::string_view text, std::filesystem::path const& path) {
  try {
    return Json::parse(text.begin(), text.end());
  } catch (Json::parse_error const& error) {
    throw broken_json(text, error, error.byte, path);
  }
}

Json read_json(std::filesystem::path const& path) { return parse_json(read_file(path), path); }

std::string dump_text(Json const& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

void write_json(std::filesystem::path const& path, Json const& value) {
  write_file_atomically(path, dump_text(value, 2) + "\n");
}

template <class T>
T json_get(Json const& object, std::string const& key, std::filesystem::path const& path) {
  require_object(object, key, path);
  auto const found = object.find(key);
  if (found == object.end())
    throw Error("'" + key + "' is missing, should be " + Reader<T>::wanted, "correct the file",
                {.file = path, .object = key});
  return read_as<T>(*found, key, path);
}

template <class T>
T json_get_or(Json const& object, std::string const& key, T fallback, std::filesystem::path const& path) {
  require_object(object, key, path);
  auto const found = object.find(key);
  if (found == object.end() || found->is_null()) return fallback;
  return read_as<T>(*found, key, path);
}

#define REFRAIN_JSON_TYPE(T)                                                                                           \
  template T json_get<T>(Json const&, std::string const&, std::filesystem::path const&);                               \
  template T json_get_or<T>(Json const&, std::string const&, T, std::filesystem::path const&);
REFRAIN_JSON_TYPE(std::string)
REFRAIN_JSON_TYPE(bool)
REFRAIN_JSON_TYPE(int)
REFRAIN_JSON_TYPE(int64_t)
REFRAIN_JSON_TYPE(uint64_t)
REFRAIN_JSON_TYPE(double)
REFRAIN_JSON_TYPE(Json)
REFRAIN_JSON_TYPE(std::vector<std::string>)
REFRAIN_JSON_TYPE(std::vector<int64_t>)
REFRAIN_JSON_TYPE(std::vector<Json>)
#undef REFRAIN_JSON_TYPE

}  // namespace refrain

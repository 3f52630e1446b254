// The kinds of values that options take: text to value, with a message for what does not fit.
#include <refrain/base/json_file.hpp>
#include <refrain/base/option_text.hpp>
#include <refrain/base/options.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace refrain {
namespace {

std::string number_text(int64_t value) { return std::to_string(value); }
std::string number_text(int value) { return std::to_string(value); }
std::string number_text(double value) {
  char text[64];
  auto const end = std::to_chars(text, text + sizeof text, value);
  return {text, end.ptr};
}

/// "a whole number from 1 to 8"
template <class T>
std::string wanted(Range<T> const& range) {
  std::string text = std::is_same_v<T, double> ? "a number" : "a whole number";
  if (range.least && range.most)
    return text +
           (range.least_excluded ? " above " + number_text(*range.least) + " and up to "
                                 : " from " + number_text(*range.least) + " to ") +
           number_text(*range.most);
  if (range.least) return text + (range.least_excluded ? " above " : " of at least ") + number_text(*range.least);
  if (range.most) return text + " of at most " + number_text(*range.most);
  return text;
}

template <class T>
T number_from(std::string const& text, Range<T> const& range) {
  T value{};
  char const* const begin = text.data() + (text.size() > 1 && text[0] == '+' ? 1 : 0);
  auto const [end, code] = std::from_chars(begin, text.data() + text.size(), value);
  std::string const kind = std::is_same_v<T, double> ? "a number" : "a whole number";
  if (code == std::errc::invalid_argument || end != text.data() + text.size() ||
      !std::isfinite(static_cast<double>(value)))
    throw Error("'" + text + "' is not " + kind, "give " + wanted(range));
  bool const below = range.least && (range.least_excluded ? value <= *range.least : value < *range.least);
  if (code == std::errc::result_out_of_range || below || (range.most && value > *range.most))
    throw Error(text + " is out of range", "give " + wanted(range));
  return value;
}

/// Makes `option` one whose value is a number.
template <class Option, class Value, class T>
void bind_number(Option& option, Value& value, Range<T> const& range) {
  option.default_text = number_text(value);
  option.assign = [&value, range](auto const& words) {
    value = static_cast<Value>(number_from<T>(words.front(), range));
  };
  option.value = [&value] { return Json(value); };
}

template <class Option, class T>
void bind_number(Option& option, std::optional<T>& value, Range<T> const& range) {
  if (value) option.default_text = number_text(*value);
  option.assign = [&value, range](auto const& words) { value = number_from<T>(words.front(), range); };
  option.value = [&value] { return value ? Json(*value) : Json(); };
}

std::string non_empty(std::string const& text, std::string const& meta) {
  if (text.empty()) throw Error("the value is empty", "give " + meta);
  return text;
}

bool switch_from(std::string const& text) {
  if (text == "on") return true;
  if (text == "off") return false;
  throw Error("'" + text + "' is not on or off", "give on or off");
}

}  // namespace

OptionTable& OptionTable::add(std::string name, std::string& value, std::string help, std::string meta) {
  Option& option = push(std::move(name), std::move(help), std::move(meta));
  option.default_text = value;
  option.assign = [&value](auto const& words) { value = words.front(); };
  option.value = [&value] { return Json(value); };
  return *this;
}

OptionTable& OptionTable::add(std::string name, std::filesystem::path& value, std::string help, std::string meta) {
  Option& option = push(std::move(name), std::move(help), meta);
  option.default_text = value.string();
  option.assign = [&value, meta](auto const& words) { value = non_empty(words.front(), meta); };
  option.value = [&value] { return Json(value.string()); };
  return *this;
}

OptionTable& OptionTable::add(std::string name, std::vector<std::string>& value, std::string help, std::string meta) {
  Option& option = push(std::move(name), std::move(help), std::move(meta));
  option.many = true;
  option.default_text = option_text::joined(value, " ");
  option.assign = [&value](auto const& words) { value = words; };
  option.value = [&value] { return Json(value); };
  return *this;
}

OptionTable& OptionTable::add(std::string name, std::vector<std::filesystem::path>& value, std::string help,
                              std::string meta) {
  Option& option = push(std::move(name), std::move(help), meta);
  option.many = true;
  option.assign = [&value, meta](auto const& words) {
    value.clear();
    for (auto const& word : words) value.emplace_back(non_empty(word, meta));
  };
  option.value = [&value] {
    Json list = Json::array();
    for (auto const& path : value) list.push_back(path.string());
    return list;
  };
  return *this;
}

OptionTable& OptionTable::add(std::string name, int64_t& value, std::string help, Range<int64_t> range) {
  bind_number(push(std::move(name), std::move(help), "N"), value, range);
  return *this;
}

OptionTable& OptionTable::add(std::string name, int& value, std::string help, Range<int64_t> range) {
  if (!range.least) range.least = std::numeric_limits<int>::min();
  if (!range.most) range.most = std::numeric_limits<int>::max();
  bind_number(push(std::move(name), std::move(help), "N"), value, range);
  return *this;
}

OptionTable& OptionTable::add(std::string name, double& value, std::string help, Range<double> range) {
  bind_number(push(std::move(name), std::move(help), "X"), value, range);
  return *this;
}

OptionTable& OptionTable::add(std::string name, std::optional<int64_t>& value, std::string help, Range<int64_t> range) {
  bind_number(push(std::move(name), std::move(help), "N"), value, range);
  return *this;
}

OptionTable& OptionTable::add(std::string name, std::optional<double>& value, std::string help, Range<double> range) {
  bind_number(push(std::move(name), std::move(help), "X"), value, range);
  return *this;
}

OptionTable& OptionTable::add(std::string name, bool& value, std::string help) {
  Option& option = push(std::move(name), std::move(help), "on|off");
  option.default_text = value ? "on" : "off";
  option.assign = [&value](auto const& words) { value = switch_from(words.front()); };
  option.value = [&value] { return Json(value); };
  return *this;
}

OptionTable& OptionTable::flag(std::string name, bool& value, std::string help) {
  Option& option = push(std::move(name), std::move(help), "");
  option.takes_value = false;
  option.assign = [&value](auto const& words) { value = switch_from(words.front()); };
  option.value = [&value] { return Json(value); };
  return *this;
}

OptionTable& OptionTable::add_choice(std::string name, std::vector<std::string> names, std::string help,
                                     std::string default_text, std::function<void(std::string const&)> assign,
                                     std::function<std::string()> value) {
  Option& option = push(std::move(name), std::move(help), option_text::joined(names, "|"));
  option.default_text = std::move(default_text);
  option.assign = [names, assign = std::move(assign)](auto const& words) {
    if (std::find(names.begin(), names.end(), words.front()) == names.end())
      throw Error("'" + words.front() + "' is not one of " + option_text::joined(names, ", "),
                  option_text::suggestion(words.front(), names, "", "give one of them"));
    assign(words.front());
  };
  option.value = [value = std::move(value)] { return Json(value()); };
  return *this;
}

}  // namespace refrain

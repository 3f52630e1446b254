#include <refrain/text/regex_splitter.hpp>
#include <refrain/text/tokenizer_file.hpp>

#include <string_view>

namespace refrain::text {
namespace {

// PCRE2's own \s has U+180E too, which left Unicode's White_Space long ago.
constexpr std::string_view white_space =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

class Translator {
public:
  Translator(std::string_view pattern, std::filesystem::path const& file) : pattern_(pattern), file_(file) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      char const c = pattern_[at_];
      if (c == '\\')
        escape();
      else if (c == '[')
        in_class_ ? refuse("a class within a class") : open_class();
      else if (c == ']' && in_class_)
        in_class_ = false, take(1);
      else if (in_class_)
        c == '&' && rest().starts_with("&&") ? refuse("&&") : take(1);
      else if (c == '(')
        open_group();
      else if (c == '{')
        repeat();
      else if (c == '^' || c == '$')
        refuse(std::string(1, c));
      else
        take(1);
    }
    return std::move(out_);
  }

private:
  std::string_view rest() const { return pattern_.substr(at_); }
  void take(std::size_t count) {
    out_ += rest().substr(0, count);
    at_ += count;
  }
  [[noreturn]] void refuse(std::string const& what) const {
    refuse_component(file_, "pre_tokenizer Split with the pattern '" + std::string(pattern_) + "':", what);
  }

  void open_class() {
    in_class_ = true;
    take(rest().starts_with("[^") ? 2 : 1);
    if (rest().starts_with(']')) refuse("] as a class's first character");
  }

  void open_group() {
    static constexpr std::string_view known_groups[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"};
    if (!rest().starts_with("(?")) return take(1);
    for (std::string_view const known : known_groups)
      if (rest().starts_with(known)) return take(known.size());
    refuse(std::string(rest().substr(0, 4)));
  }

  /// {n,m}+ is possessive in PCRE2 and repeats again in Ruby's syntax; {n}? is lazy here and optional there.
  void repeat() {
    std::size_t const close = rest().find('}');
    if (close == rest().npos) return refuse("{ without }");
    std::string_view const behind = rest().substr(close + 1);
    if (behind.starts_with('+') || behind.starts_with('?')) refuse("}" + std::string(behind.substr(0, 1)));
    if (rest().starts_with("{,")) refuse("{,");
    take(close + 1);
  }

  void escape() {
    if (rest().size() < 2) refuse("a lone backslash");
    char const c = rest()[1];
    if (c == 's' || c == 'S') {
      if (in_class_ && c == 'S') refuse("\\S within a class");
      if (in_class_)
        out_ += white_space;
      else
        out_.append(c == 's' ? "[" : "[^").append(white_space).append("]");
      at_ += 2;
    } else if (c == 'p' || c == 'P') {
      std::size_t const close = rest().find('}');
      if (rest().size() < 3 || rest()[2] != '{' || close == rest().npos) refuse("\\p without {name}");
      take(close + 1);
    } else if (c == 'd') {
      out_ += "\\p{Nd}";
      at_ += 2;
    } else if (std::string_view("rntf").find(c) != std::string_view::npos || !is_alphanumeric(c)) {
      take(2);
    } else {
      refuse("\\" + std::string(1, c));
    }
  }

  static bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }

  std::string_view pattern_;
  std::filesystem::path const& file_;
  std::size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

}  // namespace

std::string oniguruma_to_pcre2(std::string const& pattern, std::filesystem::path const& file) {
  return Translator(pattern, file).run();
}

}  // namespace refrain::text

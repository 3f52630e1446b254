#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <refrain/base/error.hpp>
#include <refrain/text/regex_splitter.hpp>
#include <refrain/text/tokenizer_file.hpp>

#include <new>

namespace refrain::text {
namespace {

constexpr std::size_t stack_start = 64 << 10, stack_limit = 256 << 20;  // bytes of PCRE2's stack for just-in-time code

std::string reason(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<char const*>(text);
}

}  // namespace

struct RegexSplitter::Scratch::Memory {
  pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(stack_start, stack_limit, nullptr);

  Memory() {
    if (!match || !context) throw std::bad_alloc();
    // A word may be megabytes long: time is the only limit, and a stack that is used up is reported.
    pcre2_set_match_limit(context, UINT32_MAX);
    pcre2_set_depth_limit(context, UINT32_MAX);
    if (stack) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Memory() {
    pcre2_match_data_free(match);
    pcre2_match_context_free(context);
    if (stack) pcre2_jit_stack_free(stack);
  }
  Memory(Memory const&) = delete;
  Memory& operator=(Memory const&) = delete;
};

RegexSplitter::Scratch::Scratch() : memory_(std::make_unique<Memory>()) {}
RegexSplitter::Scratch::Scratch(Scratch&&) noexcept = default;
RegexSplitter::Scratch::~Scratch() = default;

struct RegexSplitter::Code {
  pcre2_code* code;
  bool jit;
  ~Code() { pcre2_code_free(code); }
};

RegexSplitter::RegexSplitter(std::string const& pattern, std::filesystem::path const& file) {
  std::string const translated = oniguruma_to_pcre2(pattern, file);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* const code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                         PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  if (!code)
    refuse_component(file, "pre_tokenizer Split with the pattern '" + pattern + "'", "(" + reason(error) + ")");
  bool const jit = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
  code_.reset(new Code{code, jit});
}

bool RegexSplitter::find(std::string_view text, std::size_t from, Scratch& scratch, std::size_t& begin,
                         std::size_t& end) const {
  auto const subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  auto const& memory = *scratch.memory_;
  auto const match = code_->jit ? pcre2_jit_match : pcre2_match;
  int const found = match(code_->code, subject, text.size(), from, PCRE2_NO_UTF_CHECK, memory.match, memory.context);
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0)
    throw Error("the tokenizer's pattern failed over " + std::to_string(text.size()) + " bytes: " + reason(found),
                "shorten the text");
  PCRE2_SIZE const* const bounds = pcre2_get_ovector_pointer(memory.match);
  begin = bounds[0];
  end = bounds[1];
  return true;
}

}  // namespace refrain::text

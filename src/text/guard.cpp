#include <refrain/base/error.hpp>
#include <refrain/text/guard.hpp>

namespace refrain::text {

std::vector<int32_t> guard_ids(ChatTemplate const& guard, Tokenizer const& tokenizer, std::string const& prompt,
                               std::optional<std::string> const& response) {
  std::vector<Turn> turns{{"user", prompt}};
  if (response) turns.push_back({"assistant", *response});
  return guard_ids(guard, tokenizer, turns);
}

std::vector<int32_t> guard_ids(ChatTemplate const& guard, Tokenizer const& tokenizer, std::vector<Turn> const& turns) {
  if (guard.use() != TemplateUse::guard)
    throw Error("chat template " + guard.name() + " is not a guard's",
                "name a template with \"use\": \"guard\", such as llama-guard-3 or polyguard");
  return tokenizer.encode(guard.render(turns, true, tokenizer.bos_token(), tokenizer.eos_token()));
}

}  // namespace refrain::text

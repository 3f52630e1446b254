#pragma once

#include <refrain/base/json_file.hpp>
#include <refrain/base/options.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace refrain::endpoint {

/// One message of a conversation: role (system, user, assistant) and text, both UTF-8.
struct Message {
  std::string role, content;
};

/// How answers are drawn. What is not set is not sent: the server's own default holds.
struct Sampling {
  std::optional<int64_t> max_tokens;  ///< of an answer
  std::optional<double> temperature, top_p;
  std::optional<int64_t> seed;
  std::vector<std::string> stop;  ///< texts that end an answer
  int64_t n = 1;                  ///< answers to one request
};

/// One conversation that a server is to answer.
struct Request {
  std::string custom_id;  ///< names it; no other request of a job has it
  std::vector<Message> messages;
  Sampling sampling;
};

/// One of the `sampling.n` answers to a request.
struct Completion {
  std::string text;           ///< `content`, or else `refusal`; empty where the server gives neither
  std::string finish_reason;  ///< as the server says it: stop, length, content_filter, ...
};

/// How a completion ended.
enum class Ending {
  stop,     ///< by itself, or at a text of `Sampling::stop`
  length,   ///< at `Sampling::max_tokens`
  withheld  ///< the server withheld it or broke it off (content_filter and the like): its text is no answer
};

/// Tokens as the server counts them, of all completions together.
struct Usage {
  int64_t prompt_tokens = 0, completion_tokens = 0;
};

/// What became of a request: completions, or an error that is final.
struct Answer {
  std::string custom_id;
  std::vector<Completion> completions;  ///< `sampling.n` in the order of `index`; none where there is an error
  std::string model;                    ///< as the server names it; empty where it does not
  std::optional<Usage> usage;           ///< nothing where the server gives no counts
  std::string error;                    ///< one line, or empty
};

/// The field that carries `Sampling::max_tokens`: newer models of OpenAI's refuse the older name.
enum class TokenLimit { max_tokens, max_completion_tokens };

/// Whom a request is for.
struct Target {
  std::string model;
  TokenLimit token_limit = TokenLimit::max_tokens;
};

/// The body of POST .../chat/completions, in one line.
/// @throws Error naming the request if a text in it is not UTF-8
std::string request_text(Request const& request, Target const& target);
/// The same as a line of an OpenAI Batch file, without its line break.
std::string batch_line(Request const& request, Target const& target);

/// Reads a chat.completion object with `n` choices. @throws Error (without a place) for one of another form
Answer read_completion(Json const& body, std::string custom_id, int64_t n);

/// As `finish_reason` says it, in OpenAI's words and text-generation-inference's.
Ending ending(Completion const& completion);
/// One line for a completion that is withheld, with the server's word for it.
std::string why_withheld(Completion const& completion);

/// What a server says of an error: {"error": {"message": TEXT}}, {"error": TEXT}, {"message": TEXT} or
/// {"detail": TEXT}. Empty if it says nothing in these forms. For `short_line`, once no secret stands in it.
std::string error_message(Json const& body);
/// `text` without line breaks and control characters, cut to at most 200 bytes between two characters.
std::string short_line(std::string_view text);

/// Requests by custom_id. The requests must outlive it.
class RequestIndex {
public:
  /// @throws Error if a custom_id is empty or stands twice
  explicit RequestIndex(std::span<Request const> requests);
  /// The request's place, or nothing.
  std::optional<std::size_t> find(std::string_view custom_id) const;

private:
  std::unordered_map<std::string_view, std::size_t> places_;
};

}  // namespace refrain::endpoint

namespace refrain {

template <>
struct EnumChoices<endpoint::TokenLimit> {
  static constexpr std::array<Choice<endpoint::TokenLimit>, 2> choices{{
      {endpoint::TokenLimit::max_tokens, "max_tokens"},
      {endpoint::TokenLimit::max_completion_tokens, "max_completion_tokens"},
  }};
};

}  // namespace refrain

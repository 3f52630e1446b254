#include <refrain/base/error.hpp>
#include <refrain/endpoint/chat.hpp>

#include <algorithm>

namespace refrain::endpoint {
namespace {

constexpr std::size_t longest_line = 200;

/// OpenAI's word for an answer that ended by itself, and those of text-generation-inference.
constexpr std::array<std::string_view, 3> ended{"stop", "eos_token", "stop_sequence"};

Error unlike_completion(std::string const& what) { return Error("the answer is no chat completion: " + what); }

Json request_body(Request const& request, Target const& target) {
  Json body = {{"model", target.model}, {"messages", Json::array()}};
  for (Message const& message : request.messages)
    body["messages"].push_back({{"role", message.role}, {"content", message.content}});
  Sampling const& sampling = request.sampling;
  if (sampling.max_tokens) body[choice_name(target.token_limit)] = *sampling.max_tokens;
  if (sampling.temperature) body["temperature"] = *sampling.temperature;
  if (sampling.top_p) body["top_p"] = *sampling.top_p;
  if (sampling.seed) body["seed"] = *sampling.seed;
  if (!sampling.stop.empty()) body["stop"] = sampling.stop;
  if (sampling.n != 1) body["n"] = sampling.n;
  return body;
}

/// Unlike dump_text it changes no byte: what the server is asked is what the prompt says.
std::string exact_text(Json const& value, Request const& request) {
  try {
    return value.dump();
  } catch (Json::type_error const&) {
    throw Error("a text of the request is not UTF-8", "make the prompts again from files in UTF-8",
                {.object = "request " + request.custom_id});
  }
}

/// `value[key]` if it is there and not null, else nothing.
Json const* member(Json const& value, char const* key) {
  if (!value.is_object()) return nullptr;
  auto const found = value.find(key);
  return found == value.end() || found->is_null() ? nullptr : &*found;
}

std::string text_of(Json const& value, std::string const& name) {
  if (!value.is_string()) throw unlike_completion(name + " is of type " + value.type_name() + ", not a string");
  return value.get<std::string>();
}

Completion read_choice(Json const& choice, std::string const& name) {
  Json const* const message = member(choice, "message");
  if (!message || !message->is_object()) throw unlike_completion(name + " has no message");
  Completion completion;
  if (Json const* const content = member(*message, "content"))
    completion.text = text_of(*content, name + ".message.content");
  else if (Json const* const refusal = member(*message, "refusal"))
    completion.text = text_of(*refusal, name + ".message.refusal");
  Json const* const reason = member(choice, "finish_reason");
  if (!reason) throw unlike_completion(name + " has no finish_reason");
  completion.finish_reason = text_of(*reason, name + ".finish_reason");
  return completion;
}

/// Where a choice belongs: `index`, or its place in the list where it has none.
std::size_t place_of(Json const& choice, std::size_t place, std::size_t count) {
  Json const* const index = member(choice, "index");
  if (!index) return place;
  if (!index->is_number_unsigned() || index->get<uint64_t>() >= count)
    throw unlike_completion("choices[" + std::to_string(place) + "] has an index that is none of " +
                            std::to_string(count));
  return index->get<std::size_t>();
}

std::optional<Usage> read_usage(Json const& body) {
  Json const* const usage = member(body, "usage");
  if (!usage) return std::nullopt;
  Json const* const prompt = member(*usage, "prompt_tokens");
  Json const* const completion = member(*usage, "completion_tokens");
  auto const is_count = [](Json const* value) { return value && value->is_number_unsigned(); };
  if (!is_count(prompt) || !is_count(completion)) return std::nullopt;
  return Usage{prompt->get<int64_t>(), completion->get<int64_t>()};
}

}  // namespace

std::string request_text(Request const& request, Target const& target) {
  return exact_text(request_body(request, target), request);
}

std::string batch_line(Request const& request, Target const& target) {
  return exact_text({{"custom_id", request.custom_id},
                     {"method", "POST"},
                     {"url", "/v1/chat/completions"},
                     {"body", request_body(request, target)}},
                    request);
}

Answer read_completion(Json const& body, std::string custom_id, int64_t n) {
  if (!body.is_object()) throw unlike_completion(std::string("it is of type ") + body.type_name() + ", not an object");
  if (member(body, "error")) throw Error("the server reports an error in its answer: " + error_message(body));
  Json const* const choices = member(body, "choices");
  if (!choices || !choices->is_array()) throw unlike_completion("it has no list of choices");
  std::size_t const count = choices->size();
  if (static_cast<int64_t>(count) != n)
    throw unlike_completion("it has " + std::to_string(count) + " choices, " + std::to_string(n) + " asked for");
  Answer answer{.custom_id = std::move(custom_id), .completions = std::vector<Completion>(count)};
  std::vector<bool> filled(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t const place = place_of((*choices)[i], i, count);
    if (filled[place]) throw unlike_completion("two of its choices have the index " + std::to_string(place));
    filled[place] = true;
    answer.completions[place] = read_choice((*choices)[i], "choices[" + std::to_string(i) + "]");
  }
  if (Json const* const model = member(body, "model")) answer.model = text_of(*model, "model");
  answer.usage = read_usage(body);
  return answer;
}

Ending ending(Completion const& completion) {
  std::string const& reason = completion.finish_reason;
  if (reason == "length") return Ending::length;
  return std::find(ended.begin(), ended.end(), reason) != ended.end() ? Ending::stop : Ending::withheld;
}

std::string why_withheld(Completion const& completion) {
  return "the server ended the answer by itself (finish_reason " + short_line(completion.finish_reason) + ")";
}

std::string error_message(Json const& body) {
  Json const* value = &body;
  while (!value->is_string()) {
    Json const* inner = nullptr;
    for (char const* key : {"error", "message", "detail"})
      if (!inner) inner = member(*value, key);
    if (!inner) return {};
    value = inner;
  }
  return value->get<std::string>();
}

std::string short_line(std::string_view text) {
  std::string line;
  for (char const c : text) {
    bool const blank = static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    if (!blank)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  if (line.ends_with(' ')) line.pop_back();
  if (line.size() <= longest_line) return line;
  std::size_t end = longest_line - 3;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0) == 0x80) --end;  // within a character of UTF-8
  return line.substr(0, end) + "...";
}

RequestIndex::RequestIndex(std::span<Request const> requests) {
  places_.reserve(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    std::string const& id = requests[i].custom_id;
    if (id.empty()) throw Error("request " + std::to_string(i) + " has no custom_id", "give each row an id of its own");
    if (!places_.emplace(id, i).second)
      throw Error("two requests have the custom_id " + id, "give each row an id of its own");
  }
}

std::optional<std::size_t> RequestIndex::find(std::string_view custom_id) const {
  auto const found = places_.find(custom_id);
  if (found == places_.end()) return std::nullopt;
  return found->second;
}

}  // namespace refrain::endpoint

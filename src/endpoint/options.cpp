#include <refrain/base/files.hpp>
#include <refrain/endpoint/key.hpp>
#include <refrain/endpoint/options.hpp>
#include <refrain/endpoint/url.hpp>

#include <set>

namespace refrain::endpoint {

namespace fs = std::filesystem;

void Options::add_to(OptionTable& table) {
  table.group("Endpoint")
      .add("endpoint", url,
           "an OpenAI-compatible server, asked for chat completions; its key is taken from the environment variable "
           "REFRAIN_API_KEY",
           "URL")
      .add("model", model, "the model's name there", "NAME")
      .add("endpoint-concurrency", concurrency, "requests under way at once", Range<int64_t>{.least = 1, .most = 1024})
      .add("endpoint-timeout", timeout, "seconds that a try may take",
           Range<double>{.least = 0, .most = 86400, .least_excluded = true})
      .add("endpoint-tries", tries,
           "tries of a request where the server is overloaded, fails or cannot be reached, or the answer is damaged",
           Range<int64_t>{.least = 1, .most = 100})
      .add("endpoint-backoff", backoff,
           "seconds before the second try; each pause is twice the one before, at most 60, and up to half of it is cut "
           "off at random",
           Range<double>{.least = 0, .most = 60, .least_excluded = true})
      .add("endpoint-insecure", insecure, "send the key to another machine over http:// too")
      .add("endpoint-token-limit", token_limit, "field for the limit of an answer's tokens")
      .add("batch-out", batch_out,
           "write the requests as OpenAI Batch JSON lines, for a machine with internet or for vllm run-batch, and stop",
           "FILE")
      .add("batch-in", batch_in, "take the answers from the results of such files", "FILE...");
}

Source Options::source() const noexcept {
  if (!url.empty()) return Source::server;
  if (!batch_out.empty()) return Source::batch_out;
  return batch_in.empty() ? Source::none : Source::batch_in;
}

void Options::validate() const {
  std::string given;
  for (auto const& [name, is_given] :
       {std::pair("--endpoint", !url.empty()), std::pair("--batch-out", !batch_out.empty()),
        std::pair("--batch-in", !batch_in.empty())}) {
    if (!is_given) continue;
    if (!given.empty()) throw UsageError(given + " and " + name + " are both given", "give one of them");
    given = name;
  }
  if (model.empty() && (source() == Source::server || source() == Source::batch_out))
    throw UsageError("--model is missing", "name the model that is to answer, as the server names it");
  if (!model.empty() && source() == Source::none)
    throw UsageError("--model is given without --endpoint or --batch-out", "name the server, or take --model away");
  if (source() == Source::server) ApiKey::for_url(Url::parse(url), insecure);
  if (fs::is_directory(batch_out)) throw UsageError("--batch-out names a folder", "name a file", {.file = batch_out});
  std::set<fs::path> seen;
  for (fs::path const& file : batch_in) {
    require_readable_file(file, "--batch-in");
    if (!seen.insert(fs::canonical(file)).second)
      throw UsageError("--batch-in names a file twice", "name each file once", {.file = file});
  }
}

}  // namespace refrain::endpoint

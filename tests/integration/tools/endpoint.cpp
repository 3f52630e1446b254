// refrain-endpoint: for the tests; not installed. Asks a server as jobs with an endpoint do.
//
//   refrain-endpoint --requests FILE --out FILE [--has-answered on] [the shared options of an endpoint]
//
// A line of --requests is {custom_id, messages} and what else Sampling has; a line of --out is an answer, in the order
// of arrival, with `done`: how many requests have come to their end. OUT.provenance.json is what a job would write into
// its output. Prints the tally as JSON.
#include <refrain/base/file.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/launch.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/endpoint/ask.hpp>
#include <refrain/endpoint/batch.hpp>
#include <refrain/endpoint/options.hpp>

#include <filesystem>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

using namespace refrain;

namespace {

struct Options {
  endpoint::Options endpoint;
  std::filesystem::path requests, out;
  bool has_answered = false;
  Json record;

  static OptionTable table(Options& options) {
    OptionTable table("endpoint", "Asks a server, for the tests.");
    table.add("requests", options.requests, "requests as JSON lines", "FILE").required();
    table.add("out", options.out, "answers as JSON lines", "FILE").required();
    table.add("has-answered", options.has_answered, "the server has answered at an earlier start");
    options.endpoint.add_to(table);
    return table;
  }
  void validate() const {
    endpoint.validate();
    if (endpoint.source() == endpoint::Source::none) throw UsageError("no --endpoint, --batch-out or --batch-in");
  }
};

std::vector<endpoint::Request> read_requests(std::filesystem::path const& path) {
  std::vector<endpoint::Request> requests;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    Json const json = Json::parse(line);
    endpoint::Request request{.custom_id = json_get<std::string>(json, "custom_id", path)};
    for (Json const& message : json.at("messages"))
      request.messages.push_back({message.at("role"), message.at("content")});
    endpoint::Sampling& sampling = request.sampling;
    if (json.contains("max_tokens")) sampling.max_tokens = json["max_tokens"];
    if (json.contains("temperature")) sampling.temperature = json["temperature"];
    if (json.contains("top_p")) sampling.top_p = json["top_p"];
    if (json.contains("seed")) sampling.seed = json["seed"];
    sampling.stop = json_get_or<std::vector<std::string>>(json, "stop", {}, path);
    sampling.n = json_get_or<int64_t>(json, "n", 1, path);
    requests.push_back(std::move(request));
  }
  return requests;
}

Json json_of(endpoint::Answer const& answer) {
  Json completions = Json::array();
  for (auto const& [text, finish_reason] : answer.completions)
    completions.push_back({{"text", text}, {"finish_reason", finish_reason}});
  Json usage;
  if (answer.usage)
    usage = {{"prompt_tokens", answer.usage->prompt_tokens}, {"completion_tokens", answer.usage->completion_tokens}};
  return {{"custom_id", answer.custom_id},
          {"completions", completions},
          {"model", answer.model},
          {"usage", usage},
          {"error", answer.error}};
}

Exit run(Options const& options) {
  install_stop_handlers();
  auto const requests = read_requests(options.requests);
  write_file_atomically(options.out.string() + ".provenance.json",
                        Provenance("refrain-endpoint", options.record).text());
  if (options.endpoint.source() == endpoint::Source::batch_out) {
    Json files = Json::array();
    for (auto const& file : write_batch(options.endpoint.batch_out, requests, options.endpoint.target()))
      files.push_back(file.string());
    std::cout << files.dump() << "\n";
    return Exit::success;
  }
  File out(options.out, File::Mode::replace);
  auto const keep = [&](Json const& row) {
    if (!out.write_all(dump_text(row) + "\n")) throw system_error("write", {}, {.file = options.out});
  };
  if (options.endpoint.source() == endpoint::Source::batch_in) {
    auto const tally =
        read_batch(options.endpoint.batch_in, requests, [&](endpoint::Answer const& answer) { keep(json_of(answer)); });
    Json const json = {
        {"answered", tally.answered}, {"failed", tally.failed}, {"missing", tally.missing}, {"foreign", tally.foreign}};
    std::cout << json.dump() << "\n";
    return Exit::success;
  }
  auto const tally = ask(
      options.endpoint, requests,
      [&](endpoint::Answer const& answer, endpoint::Tally const& so_far) {
        Json row = json_of(answer);
        row["done"] = so_far.answered + so_far.failed;
        keep(row);
      },
      [] { return stop_requested(); },
      options.has_answered ? endpoint::Server::has_answered : endpoint::Server::unproven);
  Json const json = {{"total", tally.total},
                     {"answered", tally.answered},
                     {"failed", tally.failed},
                     {"retries", tally.retries},
                     {"left", tally.left()}};
  std::cout << json.dump() << "\n";
  return tally.left() > 0 ? Exit::stopped_early : Exit::success;
}

}  // namespace

int main(int argc, char** argv) { return launch_serial<Options>(argc, argv, run); }

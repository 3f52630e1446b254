#pragma once

#include <refrain/endpoint/chat.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace refrain::endpoint {

/// What one file of requests may hold: OpenAI's limits.
struct BatchLimits {
  int64_t requests = 50'000;
  int64_t bytes = 200'000'000;
};

/// Writes requests as OpenAI Batch JSON lines, in their order: into `path`, or, where `limits` want several files, into
/// STEM-00001-of-0000N.EXTENSION beside it, with a remark in the log. A file that is there is replaced; each is written
/// atomically, and after a failure those of this call are gone.
/// @returns the files. @throws Error if there are no requests, one is larger than a file may be, two have one
/// custom_id, a text is not UTF-8, or a file cannot be written
std::vector<std::filesystem::path> write_batch(std::filesystem::path const& path, std::span<Request const> requests,
                                               Target const& target, BatchLimits const& limits = {});

/// What result files said of the requests.
struct BatchTally {
  int64_t answered = 0, failed = 0;
  std::vector<std::string> missing;  ///< custom_ids of requests without a result, in the order of the requests
  std::vector<std::string> foreign;  ///< custom_ids of results without a request, in the order of the files
};

/// Reads the results that belong to `requests`, of OpenAI's Batch API or of vllm run-batch, from files in any order and
/// with rows in any order. `on_answer` is called once for each request that has a result: with its answer, or, after
/// all files are read, with its error where no file has an answer. Counts and names in the log what is missing and what
/// is foreign.
/// @throws Error naming file and line for what is no result, and for a second answer to one request
BatchTally read_batch(std::span<std::filesystem::path const> paths, std::span<Request const> requests,
                      std::function<void(Answer)> const& on_answer);

}  // namespace refrain::endpoint

#pragma once

#include <refrain/base/options.hpp>
#include <refrain/endpoint/chat.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace refrain::endpoint {

/// Where answers come from.
enum class Source {
  none,       ///< not from a server: a checkpoint, which the job's own options name
  server,     ///< --endpoint
  batch_out,  ///< --batch-out: nowhere yet, requests are written
  batch_in,   ///< --batch-in
};

/// The options that every job with an endpoint has. The key is none of them: it comes from REFRAIN_API_KEY.
struct Options {
  std::string url, model;
  int concurrency = 16;
  double timeout = 600;  ///< seconds that one try may take
  int tries = 8;
  double backoff = 1;  ///< seconds of the first pause
  bool insecure = false;
  TokenLimit token_limit = TokenLimit::max_tokens;
  std::filesystem::path batch_out;
  std::vector<std::filesystem::path> batch_in;

  /// Declares them as a group of `table`, bound to this object, which must outlive it.
  void add_to(OptionTable& table);
  Source source() const noexcept;
  Target target() const { return {model, token_limit}; }
  /// @throws UsageError for options that contradict each other, for a URL or a key that cannot be used, and for files
  /// of
  /// --batch-in that are not there
  void validate() const;
};

}  // namespace refrain::endpoint

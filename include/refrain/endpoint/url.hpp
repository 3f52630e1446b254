#pragma once

#include <string>

namespace refrain::endpoint {

/// The address of an OpenAI-compatible server, up to and with its version: http://HOST:PORT/v1.
struct Url {
  std::string completions;  ///< where chat completions are asked for
  bool encrypted = false;   ///< https
  bool local = false;       ///< this machine: localhost, 127.0.0.0/8, [::1]

  /// Takes /v1 where `written` names no path; /chat/completions may stand at its end.
  /// @throws UsageError if it is no http or https URL, or has a user name, password, query or fragment: the URL is
  /// written into every output, and these may hold secrets. The message does not repeat it.
  static Url parse(std::string const& written);
};

}  // namespace refrain::endpoint

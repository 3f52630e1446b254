#pragma once

#include <refrain/endpoint/key.hpp>
#include <refrain/endpoint/reply.hpp>
#include <refrain/endpoint/url.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace refrain::endpoint {

/// POST requests to one URL that run side by side, over libcurl. Connections are kept for those that follow. Redirects
/// are not followed, no proxy stands before this machine itself, and nothing but http and https is spoken.
class Transfers {
public:
  /// `timeout_seconds` is that of one transfer, from its start to its last byte.
  /// @throws Error if libcurl cannot be set up
  Transfers(Url const& url, ApiKey const& key, double timeout_seconds);
  ~Transfers();  ///< ends those that run

  /// Starts one; `number` comes back with its reply. @throws Error if libcurl refuses
  void start(std::size_t number, std::string body);
  std::size_t running() const noexcept;

  struct Finished {
    std::size_t number;
    Reply reply;
  };
  /// Moves them on for up to `seconds`. @returns those that ended, as soon as one did. @throws Error if libcurl fails
  std::vector<Finished> wait(double seconds);

private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace refrain::endpoint

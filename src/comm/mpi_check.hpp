#pragma once

#include <refrain/base/error.hpp>

#include <mpi.h>

#include <string>

namespace refrain::comm {

/// @throws Error with MPI's own words if `code` is not MPI_SUCCESS. Needs MPI_ERRORS_RETURN, which MpiSession sets.
inline void check(int code, char const* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(std::string(call) + " failed: " + std::string(text, static_cast<std::size_t>(length)),
              "look for a rank that ended, or a network that fails, in the logs of the nodes");
}

/// Bytes in one MPI call, whose counts are int.
inline constexpr std::size_t largest_message = std::size_t{1} << 30;

}  // namespace refrain::comm

#include <refrain/base/files.hpp>
#include <refrain/base/launch.hpp>

#include <cstdio>
#include <filesystem>
#include <new>

namespace refrain {

std::string error_text(std::exception const& error) {
  if (dynamic_cast<Error const*>(&error)) return error.what();
  if (dynamic_cast<std::bad_alloc const*>(&error))
    return "out of memory (use more ranks or nodes, or ask for more memory)";
  if (auto const* failure = dynamic_cast<std::filesystem::filesystem_error const*>(&error))
    return Error(failure->code().message(), "check the path", {.file = failure->path1()}).what();
  // Libraries append stack traces to their messages; the first line is what a person can use.
  std::string const text = error.what();
  return text.substr(0, text.find('\n'));
}

Exit exit_code_of(std::exception const& error) noexcept {
  auto const* known = dynamic_cast<Error const*>(&error);
  return known ? known->exit_code() : Exit::failure;
}

void print_error(std::string const& program, std::exception const& error) {
  std::fflush(stdout);
  std::string const line = program + ": " + error_text(error) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);  // in one write, so that lines of ranks do not mix
  std::fflush(stderr);
}

int run_guarded(std::string const& program, std::function<Exit()> const& body) {
  try {
    set_private_umask();
    return static_cast<int>(body());
  } catch (std::exception const& error) {
    print_error(program, error);
    return static_cast<int>(exit_code_of(error));
  }
}

}  // namespace refrain

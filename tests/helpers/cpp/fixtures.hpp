#pragma once

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/json_file.hpp>

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// What tests of all modules use.
namespace refrain::testing {

/// A new folder of the test's own, removed with all that is in it at the end of the scope.
struct TemporaryFolder {
  std::filesystem::path const path = make();

  TemporaryFolder() = default;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TemporaryFolder(TemporaryFolder const&) = delete;
  TemporaryFolder& operator=(TemporaryFolder const&) = delete;

  /// Writes the file `name`, new or not. @returns its path. @throws Error
  std::filesystem::path write(std::string const& name, std::string_view text) const {
    write_file_atomically(path / name, text);
    return path / name;
  }
  std::filesystem::path write_json(std::string const& name, Json const& value) const {
    refrain::write_json(path / name, value);
    return path / name;
  }

private:
  static std::filesystem::path make() {
    std::string name = (std::filesystem::temp_directory_path() / "refrain-test-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw system_error("make a temporary folder", {}, {.file = name});
    return name;
  }
};

/// The E that `work` throws, if it does; what is no E passes through.
template <class E = Error, class Work>
std::optional<E> thrown_by(Work&& work) {
  try {
    std::forward<Work>(work)();
  } catch (E const& error) {
    return error;
  }
  return std::nullopt;
}

/// The line that a user reads of it, or "nothing was thrown".
template <class E = Error, class Work>
std::string message_of(Work&& work) {
  auto const error = thrown_by<E>(std::forward<Work>(work));
  return error ? error->what() : "nothing was thrown";
}

/// Its problem alone, without place and remedy, or "nothing was thrown".
template <class E = Error, class Work>
std::string problem_of(Work&& work) {
  auto const error = thrown_by<E>(std::forward<Work>(work));
  return error ? error->problem() : "nothing was thrown";
}

}  // namespace refrain::testing

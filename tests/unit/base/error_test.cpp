#include <catch2/catch.hpp>

#include <refrain/base/launch.hpp>

#include <cerrno>
#include <new>

using namespace refrain;

TEST_CASE("an error is one line: rank, problem, place, remedy") {
  CHECK(Error("dtype is float64", "regenerate the file", {.rank = 3, .file = "runs/a/pairs.h5", .object = "/tokens"})
            .what() == std::string("rank 3: dtype is float64 [runs/a/pairs.h5:/tokens] (regenerate the file)"));
  CHECK(Error("bad").what() == std::string("bad"));
  CHECK(Error("bad", "", {.object = "line 3"}).what() == std::string("bad [line 3]"));
  CHECK(Error("two\nlines").what() == std::string("two lines"));
}

TEST_CASE("system errors say what failed and what helps") {
  errno = ENOSPC;
  CHECK(system_error("write the file", {}, {.file = "x"}).what() ==
        std::string("cannot write the file: No space left on device [x] (free some space or write elsewhere)"));
}

TEST_CASE("exceptions of libraries become one line, and exit codes follow the kind") {
  CHECK(error_text(std::runtime_error("first line\nframe #0: somewhere")) == "first line");
  CHECK(error_text(std::bad_alloc()) == "out of memory (use more ranks or nodes, or ask for more memory)");
  CHECK(exit_code_of(std::runtime_error("x")) == Exit::failure);
  CHECK(exit_code_of(UsageError("x")) == Exit::usage);
  CHECK(run_guarded("test", [] { return Exit::stopped_early; }) == 85);
}

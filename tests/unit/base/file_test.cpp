#include "fixtures.hpp"

#include <refrain/base/file.hpp>

#include <catch2/catch.hpp>

using namespace refrain;
using namespace refrain::testing;
namespace fs = std::filesystem;

TEST_CASE("a file is opened as asked, written from where it stands, and cut") {
  TemporaryFolder const folder;
  auto const path = folder.path / "a";
  CHECK_FALSE(File(path, File::Mode::read).is_open());
  CHECK(errno == ENOENT);
  {
    File file(path, File::Mode::create_new);
    CHECK((file.write_all("abcdef") && file.sync() && file.close()));
    CHECK_FALSE(file.is_open());
    CHECK(file.close());
  }
  CHECK_FALSE(File(path, File::Mode::create_new).is_open());
  CHECK(errno == EEXIST);
  {
    File file(path, File::Mode::update);
    CHECK((file.seek(2) && file.write_all("XY")));
    File other = std::move(file);
    CHECK_FALSE(file.is_open());
    CHECK(other.set_length(5));
  }
  CHECK(read_file(path) == "abXYe");
  File reading(path, File::Mode::read);
  char block[8];
  CHECK(reading.read_some_at(3, std::as_writable_bytes(std::span(block))) == 2);
  CHECK(reading.read_some(std::as_writable_bytes(std::span(block))) == 5);
  CHECK(std::string_view(block, 5) == "abXYe");
  CHECK(reading.read_some(std::as_writable_bytes(std::span(block))) == 0);
  CHECK_FALSE(reading.write_all("z"));
  CHECK(errno == EBADF);
  { File const emptied(path, File::Mode::replace); }
  CHECK(fs::file_size(path) == 0);
}

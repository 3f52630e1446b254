#include <catch2/catch.hpp>

#include <refrain/report/event_file.hpp>

using namespace refrain::report;

TEST_CASE("CRC-32C of known texts") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xe3069283);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa);  // RFC 3720, appendix B.4
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43);
}

TEST_CASE("an event file begins with its version") {
  std::string const bytes = EventFile(0).bytes();
  // Length, its checksum, time 0, step 0, the version, the checksum of these.
  CHECK(bytes.size() == 8 + 4 + 9 + 2 + 15 + 4);
  CHECK(bytes.substr(0, 8) == std::string("\x1a\0\0\0\0\0\0\0", 8));
  CHECK(bytes.substr(23, 15) == "\x1a\x0d"
                                "brain.Event:2");
}

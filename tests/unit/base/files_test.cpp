#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/json_file.hpp>

#include <csignal>
#include <fstream>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace refrain;
using namespace refrain::testing;
namespace fs = std::filesystem;

namespace {

/// The problem and the object that it is about: what does not depend on where the test runs.
template <class Work>
std::string told_by(Work&& work) {
  auto const error = thrown_by(work);
  if (!error) return "nothing was thrown";
  return error->problem() + (error->place().object.empty() ? "" : " @ " + error->place().object);
}

}  // namespace

TEST_CASE("a file is written whole or stays as it was") {
  TemporaryFolder const folder;
  fs::path const file = folder.path / "a.json";
  write_file_atomically(file, "old");
  CHECK(read_file(file) == "old");

  // A size limit stands for a full disk: the write fails in its middle.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit const small{.rlim_cur = 4096, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  std::string const message = told_by([&] { write_file_atomically(file, std::string(10000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  CHECK(message == "cannot write the file: File too large");
  CHECK(read_file(file) == "old");
  CHECK_FALSE(fs::exists(file.string() + ".tmp"));
}

TEST_CASE("a link is replaced in one step") {
  TemporaryFolder const folder;
  replace_symlink("first", folder.path / "latest");
  replace_symlink("second", folder.path / "latest");
  CHECK(fs::read_symlink(folder.path / "latest") == "second");
}

TEST_CASE("what is wrong with a path is said, with the option it came from") {
  TemporaryFolder const folder;
  CHECK(told_by([&] { require_readable_file(folder.path / "none", "--pairs"); }) ==
        "--pairs names a file that does not exist");
  CHECK(told_by([&] { require_readable_file(folder.path, "--pairs"); }) ==
        "--pairs names a folder, where a file is wanted");
  CHECK(told_by([&] { require_folder(folder.path / "none", "--init"); }) ==
        "--init names a folder that does not exist");
  auto const file = folder.write("f", "");
  CHECK(told_by([&] { require_folder(file, "--init"); }) == "--init names a file, where a folder is wanted");
  CHECK(told_by([&] { read_file(folder.path); }) == "this is a folder, not a file");
}

TEST_CASE("new files are private unless the group may read") {
  TemporaryFolder const folder;
  auto const mode = [&](char const* name) {
    struct stat info{};
    ::stat(folder.write(name, "x").c_str(), &info);
    return info.st_mode & 0777;
  };
  mode_t const before = ::umask(0);
  ::unsetenv("REFRAIN_GROUP_READ");
  set_private_umask();
  CHECK(mode("private") == 0600);
  ::setenv("REFRAIN_GROUP_READ", "1", 1);
  set_private_umask();
  CHECK(mode("shared") == 0640);
  ::unsetenv("REFRAIN_GROUP_READ");
  ::umask(before);
}

TEST_CASE("free space is asked of the nearest folder that exists") {
  TemporaryFolder const folder;
  CHECK(free_bytes(folder.path / "not" / "yet" / "there") > 0);
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1536) == "1.5 KiB");
  CHECK(format_bytes(847.0 * 1024 * 1024 * 1024) == "847.0 GiB");
}

TEST_CASE("broken JSON is reported with line and column") {
  CHECK(told_by([] { parse_json("{\n  \"a\": 1,\n  \"b\" 2\n}", "x.json"); }).ends_with("@ line 3, column 7"));
  CHECK(told_by([] { parse_json(" \n", "x.json"); }) == "the file is empty, where JSON is wanted");
}

TEST_CASE("what broken JSON holds is quoted as far as it can be printed on a line") {
  auto const told = [](std::string const& text) { return told_by([&] { parse_json(text, "x.json"); }); };
  std::string const value = "broken JSON: syntax error while parsing value - ";
  CHECK(told("\x89HDF\r\n") == value + "invalid literal; last read: \"\uFFFD\" @ line 1, column 1");
  CHECK(told("[tru\xFF") == value + "invalid literal; last read: \"[tru\uFFFD\" @ line 1, column 5");
  CHECK(told("{\x01: 1}") ==
        "broken JSON: syntax error while parsing object key - invalid literal; last read: \"{<U+0001>\"; expected "
        "string literal @ line 1, column 2");
  std::string many = "[\"";
  for (int i = 0; i < 100; ++i) many += "\u00E4";
  CHECK(told(many + "\n\"]") ==
        value + "invalid string: control character U+000A (LF) must be escaped to \\u000A or \\n; last read: "
                "\"\\\"\u00E4\u00E4\u00E4\u00E4\u00E4\u00E4\u00E4\u00E4\u00E4\u00E4\u00E4\u00E4\u00E4\u00E4\u00E4\u00E4"
                "\u00E4\u00E4"
                "...\" @ line 1, column 203");
}

TEST_CASE("values of JSON are checked for their type") {
  Json const json = Json::parse(
      R"({"n": 5, "x": 1.5, "s": "t", "b": true, "list": [1, 2], "big": 9999999999, "null": null, "neg": -1})");
  CHECK(json_get<int>(json, "n", "f") == 5);
  CHECK(json_get<double>(json, "n", "f") == 5.0);
  CHECK(json_get<std::vector<int64_t>>(json, "list", "f") == std::vector<int64_t>{1, 2});
  CHECK(json_get_or<int>(json, "none", 7, "f") == 7);
  CHECK(json_get_or<int>(json, "null", 7, "f") == 7);
  CHECK(told_by([&] { json_get<int>(json, "none", "f"); }) == "'none' is missing, should be a whole number @ none");
  CHECK(told_by([&] { json_get<int>(json, "x", "f"); }) == "'x' is 1.5, should be a whole number @ x");
  CHECK(told_by([&] { json_get<int>(json, "big", "f"); }) == "'big' is 9999999999, should be a whole number @ big");
  CHECK(told_by([&] { json_get<uint64_t>(json, "neg", "f"); }) ==
        "'neg' is -1, should be a whole number of at least 0 @ neg");
  CHECK(told_by([&] { json_get<int>(json, "b", "f"); }) == "'b' is true, should be a whole number @ b");
  CHECK(told_by([&] { json_get<bool>(json, "n", "f"); }) == "'n' is 5, should be true or false @ n");
  Json const letters{{"s", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u00E4\u00E4\u00E4\u00E4"}};
  CHECK(told_by([&] { json_get<int>(letters, "s", "f"); }) ==
        "'s' is \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..., should be a whole number @ s");
  CHECK(told_by([&] { json_get<std::vector<std::string>>(json, "list", "f"); }) ==
        "'list' is a list, should be a list of strings @ list");
}

TEST_CASE("data files are found in the source tree") {
  CHECK(told_by([] { data_file("nowhere/none.json"); }) ==
        "the data file nowhere/none.json is not where the program looks for it");
  auto const siblings = data_files_beside("shard/language_sets.json");
  CHECK(siblings.size() == 1);
  CHECK(siblings.at("language_sets") == data_file("shard/language_sets.json"));
}

TEST_CASE("text that is not UTF-8 can be written as JSON all the same") {
  Json const json{{"file", "a\xFF"}, {"n", 1}};
  CHECK(dump_text(json) == "{\"file\":\"a\uFFFD\",\"n\":1}");
  CHECK(dump_text(json, 2) == "{\n  \"file\": \"a\uFFFD\",\n  \"n\": 1\n}");
}

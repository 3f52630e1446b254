#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/study/words.hpp>

#include <filesystem>

using namespace refrain;
using namespace refrain::study;
using namespace refrain::testing;

namespace {

std::string error_of(std::string const& text) {
  return message_of([&] { split_words(text, "REFRAIN_TRAIN_ARGS"); });
}

}  // namespace

TEST_CASE("words are split as a shell splits them") {
  CHECK(split_words("--epochs 3 --lora-rank=8", "x") == Words{"--epochs", "3", "--lora-rank=8"});
  CHECK(split_words("  --a\t'b c'  \"d 'e'\" f\\ g \n", "x") == Words{"--a", "b c", "d 'e'", "f g"});
  CHECK(split_words(R"(--a="b c" '' "\$x \n")", "x") == Words{"--a=b c", "", "$x \\n"});
  CHECK(split_words("", "x").empty());
  CHECK(error_of("--a 'b") == "REFRAIN_TRAIN_ARGS has a ' that is not closed (close it, or write \\')");
}

TEST_CASE("a joined line splits into the same words") {
  Words const words{"srun", "--out=/a b/c", "it's", "", "$HOME", "beta=0.1,lr=1e-6", "*"};
  CHECK(split_words(join_words(words), "x") == words);
  CHECK(join_words({"beta=0.1,lr=1e-6", "a b"}) == "beta=0.1,lr=1e-6 'a b'");
}

TEST_CASE("options of the user replace those of the configuration") {
  Words const options{"--loss", "sigmoid", "--epochs", "3"};
  CHECK(merge_options(options, {"--epochs=1", "--shuffle", "off"}, {}, "X") ==
        Words{"--loss", "sigmoid", "--epochs=1", "--shuffle", "off"});
  CHECK(merge_options(options, {}, {}, "X") == options);
  CHECK_THROWS_WITH(merge_options(options, {"--beta=1"}, {"--beta"}, "REFRAIN_TRAIN_ARGS", "take it out"),
                    Catch::Equals("REFRAIN_TRAIN_ARGS sets --beta, which the study sets itself (take it out)"));
  CHECK_THROWS_WITH(merge_options(options, {"3"}, {}, "X"), Catch::StartsWith("'3' in X is no option"));
}

TEST_CASE("some options of a line are picked with their values") {
  Words const options{"--stop", "a", "b", "--seed=3", "--chat-template", "llama-3"};
  CHECK(pick_options(options, {"--stop", "--seed"}, "X") == Words{"--stop", "a", "b", "--seed=3"});
  CHECK(pick_options(options, {"--chat"}, "X").empty());
  CHECK_THROWS_WITH(pick_options({"a"}, {}, "X"), Catch::StartsWith("'a' in X is no option"));
}

TEST_CASE("paths are one file with spaces, or words and patterns") {
  TemporaryFolder const temporary;
  auto const folder = temporary.path / "with a space";
  std::filesystem::create_directory(folder);
  auto const path = [&](std::string const& name) { return (folder / name).string(); };
  for (auto const* name : {"a.jsonl", "b.jsonl", "c d.jsonl"}) write_file_atomically(path(name), "{}");

  CHECK(split_paths(path("c d.jsonl"), "X") == Words{path("c d.jsonl")});
  CHECK(split_paths("'" + path("c d.jsonl") + "' '" + path("a.jsonl") + "'", "X") ==
        Words{path("c d.jsonl"), path("a.jsonl")});
  CHECK(split_paths("'" + path("?.jsonl") + "'", "X") == Words{path("a.jsonl"), path("b.jsonl")});
  CHECK_THROWS_WITH(split_paths("/nowhere/a.jsonl", "REFRAIN_PAIRS"),
                    Catch::Contains("REFRAIN_PAIRS names a file that does not exist [/nowhere/a.jsonl]"));
}

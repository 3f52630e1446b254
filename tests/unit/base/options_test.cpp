#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/base/json_file.hpp>
#include <refrain/base/options.hpp>

#include <filesystem>
#include <sstream>

using namespace refrain;
using namespace refrain::testing;

namespace {
enum class Loss { sigmoid, ipo };
}  // namespace

template <>
struct refrain::EnumChoices<Loss> {
  static constexpr Choice<Loss> choices[] = {{Loss::sigmoid, "sigmoid"}, {Loss::ipo, "ipo"}};
};

namespace {

struct Values {
  std::vector<std::filesystem::path> pairs;
  std::filesystem::path out;
  double beta = 0.1;
  double fraction = 0.5;
  int64_t seed = 42;
  int tensor_parallel = 1;
  std::optional<int64_t> max_steps;
  bool shuffle = true, plan = false;
  Loss loss = Loss::sigmoid;
};

OptionTable train_table(Values& v) {
  OptionTable table("train", "Trains.");
  table.group("Data")
      .add("pairs", v.pairs, "preference pairs")
      .add("out", v.out, "where the result goes")
      .required()
      .group("Loss")
      .add("loss", v.loss, "which loss")
      .add("beta", v.beta, "strength of the pull to the reference", {.least = 0, .least_excluded = true})
      .add("fraction", v.fraction, "a share", {.least = 0, .most = 1})
      .group("Run")
      .add("seed", v.seed, "of the permutation", {.least = 0})
      .add("tensor-parallel", v.tensor_parallel, "ranks that share one model", {.least = 1, .most = 64})
      .add("max-steps", v.max_steps, "ends here", {.least = 1})
      .add("shuffle", v.shuffle, "a new order each epoch")
      .flag("plan", v.plan, "prints the plan only");
  return table;
}

bool parse(OptionTable& table, std::vector<char const*> words, std::string* text = nullptr) {
  words.insert(words.begin(), "refrain");
  std::ostringstream out;
  bool const go_on = table.parse(static_cast<int>(words.size()), words.data(), out);
  if (text) *text = out.str();
  return go_on;
}

std::string error_of(std::vector<char const*> words) {
  Values values;
  OptionTable table = train_table(values);
  return message_of<UsageError>([&] { parse(table, std::move(words)); });
}

}  // namespace

TEST_CASE("-h is --help") {
  Values v;
  OptionTable table = train_table(v);
  char const* const words[] = {"refrain-train", "-h"};
  std::ostringstream text;
  CHECK_FALSE(table.parse(2, words, text));
  CHECK(text.str().find("--pairs") != std::string::npos);
}

TEST_CASE("options set their fields, in both spellings, lists in one or several options") {
  Values v;
  OptionTable table = train_table(v);
  REQUIRE(parse(table, {"--pairs", "a.h5", "b.h5", "--out=x", "--beta", "1e-2", "--pairs", "c.h5", "--seed=7", "--loss",
                        "ipo", "--shuffle", "off", "--plan", "--max-steps", "12"}));
  CHECK(v.pairs == std::vector<std::filesystem::path>{"a.h5", "b.h5", "c.h5"});
  CHECK(v.out == "x");
  CHECK(v.beta == 0.01);
  CHECK(v.seed == 7);
  CHECK(v.loss == Loss::ipo);
  CHECK_FALSE(v.shuffle);
  CHECK(v.plan);
  CHECK(v.max_steps == 12);
  CHECK(table.given("beta"));
  CHECK_FALSE(table.given("fraction"));
  CHECK(table.record()["tensor-parallel"] == 1);
  CHECK(table.record()["loss"] == "ipo");
  CHECK(table.record()["pairs"].size() == 3);
}

TEST_CASE("negative numbers are values") {
  CHECK(error_of({"--out", "x", "--seed", "-5"}) == "--seed: -5 is out of range (give a whole number of at least 0)");
}

TEST_CASE("each wrong command line has its line") {
  CHECK(error_of({"--tensor-paralel", "2"}) == "unknown option --tensor-paralel (did you mean --tensor-parallel?)");
  CHECK(error_of({"--tensor", "2"}) == "unknown option --tensor (did you mean --tensor-parallel?)");
  CHECK(error_of({"--frobnicate"}) == "unknown option --frobnicate (see refrain-train --help)");
  CHECK(error_of({"--out"}) == "option --out needs a value (write --out PATH)");
  CHECK(error_of({"--out", "--beta", "1"}) == "option --out needs a value (write --out PATH)");
  CHECK(error_of({"--out=--x", "--beta"}) == "option --beta needs a value (write --beta X)");
  CHECK(error_of({"--out="}) == "option --out needs a value (write --out PATH)");
  CHECK(error_of({"--pairs", "--beta", "1"}) == "option --pairs needs a value (write --pairs FILE...)");
  CHECK(error_of({"--plan=yes"}) == "option --plan takes no value (write --plan alone)");
  CHECK(error_of({"--beta", "high"}) == "--beta: 'high' is not a number (give a number above 0)");
  CHECK(error_of({"--beta", "0.1x"}) == "--beta: '0.1x' is not a number (give a number above 0)");
  CHECK(error_of({"--beta", "nan"}) == "--beta: 'nan' is not a number (give a number above 0)");
  CHECK(error_of({"--beta", "0"}) == "--beta: 0 is out of range (give a number above 0)");
  CHECK(error_of({"--fraction", "1.5"}) == "--fraction: 1.5 is out of range (give a number from 0 to 1)");
  CHECK(error_of({"--seed", "1.5"}) == "--seed: '1.5' is not a whole number (give a whole number of at least 0)");
  CHECK(error_of({"--seed", "99999999999999999999"}) ==
        "--seed: 99999999999999999999 is out of range (give a whole number of at least 0)");
  CHECK(error_of({"--tensor-parallel", "65"}) ==
        "--tensor-parallel: 65 is out of range (give a whole number from 1 to 64)");
  CHECK(error_of({"--loss", "sigmoidal"}) == "--loss: 'sigmoidal' is not one of sigmoid, ipo (did you mean sigmoid?)");
  CHECK(error_of({"--loss", "dpo"}) == "--loss: 'dpo' is not one of sigmoid, ipo (give one of them)");
  CHECK(error_of({"--loss", "x"}) == "--loss: 'x' is not one of sigmoid, ipo (give one of them)");
  CHECK(error_of({"--shuffle", "maybe"}) == "--shuffle: 'maybe' is not on or off (give on or off)");
  CHECK(error_of({"--beta", "1", "--beta", "2"}) == "option --beta is given twice (give it once)");
  CHECK(error_of({"--plan", "--plan", "--plan"}) == "option --plan is given 3 times (give it once)");
  CHECK(error_of({"-beta", "1"}) == "unexpected '-beta' (did you mean --beta?)");
  CHECK(error_of({"stray"}) == "unexpected 'stray' (see refrain-train --help)");
  CHECK(error_of({"--beta", "1"}) == "option --out is missing (add --out PATH: where the result goes)");
}

TEST_CASE("a configuration file sets options and the command line wins") {
  TemporaryFolder const folder;
  auto const file = folder.write(
      "x.ini", "# a comment\nbeta = 0.3\nseed = 9\npairs = a.h5\npairs = b.h5\n[train]\nout = from-file\nplan = on\n");
  Values v;
  OptionTable table = train_table(v);
  REQUIRE(parse(table, {"--config", file.c_str(), "--seed", "10"}));
  CHECK(v.beta == 0.3);
  CHECK(v.seed == 10);
  CHECK(v.pairs.size() == 2);
  CHECK(v.out == "from-file");
  CHECK(v.plan);
}

TEST_CASE("errors of a configuration file name file and key") {
  TemporaryFolder const folder;
  auto const message = [&](std::string const& text) {
    auto const file = folder.write("x.ini", text);
    std::string line = error_of({"--out", "x", "--config", file.c_str()});
    if (auto const at = line.find(file.string()); at != std::string::npos)
      line.replace(at, file.string().size(), "FILE");
    return line;
  };
  CHECK(message("bta = 1\n") == "unknown option 'bta' [FILE:bta] (did you mean beta?)");
  CHECK(message("beta = 0\n") == "'beta': 0 is out of range [FILE:beta] (give a number above 0)");
  CHECK(message("beta = 1\nbeta = 2\n") == "option 'beta' is given twice [FILE:beta] (give it once)");
  CHECK(message("[shard]\nbeta = 1\n") == "unknown option 'shard.beta' [FILE:shard.beta] (see refrain-train --help)");
  CHECK(message("just words\n") == "the line 'just words' is not KEY = VALUE [FILE] (write lines like: seed = 42)");
  CHECK(error_of({"--config", "/nowhere/x.ini"}) ==
        "--config names a file that does not exist [/nowhere/x.ini] (check the path)");
}

namespace {

struct Convert {
  std::string command, name;
  std::vector<std::string> paths;
  std::filesystem::path model, out;
};

OptionTable convert_table(Convert& v) {
  OptionTable table("convert", "Converts.");
  table.add("name", v.name, "of all commands");
  table.command(v.command, "import", "Reads a folder.")
      .add("model", v.model, "the folder")
      .add("out", v.out, "the checkpoint")
      .required();
  table.command(v.command, "verify", "Checks.").positional("PATH...", v.paths, "what to check", 1);
  return table;
}

std::string convert_error(std::vector<char const*> words) {
  Convert v;
  OptionTable table = convert_table(v);
  return message_of<UsageError>([&] { parse(table, std::move(words)); });
}

}  // namespace

TEST_CASE("subcommands have their own options and words") {
  Convert v;
  OptionTable table = convert_table(v);
  REQUIRE(parse(table, {"verify", "a", "b", "--name", "n"}));
  CHECK(v.command == "verify");
  CHECK(v.paths == std::vector<std::string>{"a", "b"});
  CHECK(table.record()["command"] == "verify");
  CHECK_FALSE(table.record().contains("model"));

  CHECK(convert_error({}) == "a command is missing (put one of these first: import, verify)");
  CHECK(convert_error({"--name", "x"}) == "a command is missing (put one of these first: import, verify)");
  CHECK(convert_error({"improt"}) == "unknown command 'improt' (did you mean import?)");
  CHECK(convert_error({"verify", "a", "--model", "m"}) ==
        "option --model belongs to refrain-convert import, not to refrain-convert verify (see refrain-convert verify "
        "--help)");
  CHECK(convert_error({"verify"}) == "PATH... is missing (refrain-convert verify needs it: what to check)");
  CHECK(convert_error({"import", "stray", "--out", "x"}) == "unexpected 'stray' (see refrain-convert import --help)");
}

TEST_CASE("a program may do something without a subcommand beside those that it has") {
  std::string command = "none", verdicts, runs;
  auto const make = [&] {
    OptionTable table("report", "Reports.");
    table.without_command(command).add("verdicts", verdicts, "what to report").required();
    table.command(command, "tensorboard", "Exports.").add("runs", runs, "what to export").required();
    return table;
  };
  auto table = make();
  CHECK(parse(table, {"--verdicts", "a.h5"}));
  CHECK(command.empty());
  CHECK(verdicts == "a.h5");
  CHECK_FALSE(table.record().contains("command"));
  table = make();
  CHECK(parse(table, {"tensorboard", "--runs", "a"}));
  CHECK(command == "tensorboard");
  CHECK(table.record()["command"] == "tensorboard");

  auto const error = [&](std::vector<char const*> words) {
    table = make();
    return message_of<UsageError>([&] { parse(table, std::move(words)); });
  };
  CHECK(error({}) == "option --verdicts is missing (add --verdicts TEXT: what to report)");
  CHECK(error({"tensorbord"}) == "unknown command 'tensorbord' (did you mean tensorboard?)");
  CHECK(error({"--runs", "a"}) ==
        "option --runs belongs to refrain-report tensorboard, not to refrain-report (see refrain-report --help)");
  CHECK(
      error({"tensorboard", "--verdicts", "a.h5"}) ==
      "option --verdicts belongs to refrain-report, not to refrain-report tensorboard (see refrain-report tensorboard "
      "--help)");

  std::string text;
  table = make();
  CHECK_FALSE(parse(table, {"--help"}, &text));
  CHECK(text.find("--verdicts") < text.find("\nCommands:\n  tensorboard"));
  CHECK(text.find("\nCommands:\n  tensorboard") != std::string::npos);
  table = make();
  CHECK_FALSE(parse(table, {"tensorboard", "--help"}, &text));
  CHECK(text.find("Commands:") == std::string::npos);
  std::ostringstream page;
  make().print_reference(page);
  CHECK(page.str().starts_with("# refrain-report\n\nReports.\n\n    refrain-report --verdicts TEXT [OPTION...]\n"));
  CHECK(page.str().find("\n## refrain-report tensorboard\n\nExports.\n") != std::string::npos);
}

TEST_CASE("where one option stands in for another, one of them is enough") {
  std::string verdicts, runs, text;
  auto const make = [&] {
    OptionTable table("report", "Reports.");
    table.add("verdicts", verdicts, "what to report").required("runs").add("runs", runs, "what to show", "DIR");
    return table;
  };
  for (char const* option : {"--verdicts", "--runs"}) {
    auto table = make();
    CHECK(parse(table, {option, "a"}));
  }
  auto table = make();
  CHECK(message_of<UsageError>([&] { parse(table, {}); }) ==
        "neither --verdicts nor --runs is given (add --verdicts TEXT: what to report; or --runs DIR)");
  table = make();
  REQUIRE_FALSE(parse(table, {"--help"}, &text));
  CHECK_THAT(text, Catch::Contains("what to report (required without --runs)"));
}

TEST_CASE("help shows groups and defaults within 100 columns, for a wrong command line too") {
  Values v;
  OptionTable table = train_table(v);
  std::string text;
  REQUIRE_FALSE(parse(table, {"--frobnicate", "--help"}, &text));
  for (char const* part : {"Usage: refrain-train --out PATH [OPTION...]", "Data:", "Loss:", "--loss sigmoid|ipo",
                           "[sigmoid]", "[0.1]", "where the result goes (required)", "--config FILE"})
    CHECK_THAT(text, Catch::Contains(part));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) CHECK(line.size() <= 100);

  Convert c;
  OptionTable commands = convert_table(c);
  REQUIRE_FALSE(parse(commands, {"--help"}, &text));
  CHECK_THAT(text, Catch::Contains("Commands:") && Catch::Contains("verify"));
  OptionTable one = convert_table(c);
  REQUIRE_FALSE(parse(one, {"import", "--help"}, &text));
  CHECK_THAT(text, Catch::Contains("--model PATH") && !Catch::Contains("PATH..."));
}

TEST_CASE("version names the revision and libraries") {
  Values v;
  OptionTable table = train_table(v);
  std::string text;
  REQUIRE_FALSE(parse(table, {"--version"}, &text));
  CHECK_THAT(text, Catch::StartsWith("refrain-train 0.") && Catch::Contains("(git ") && Catch::Contains("HDF5 1.") &&
                       Catch::Contains("Boost 1."));
}

TEST_CASE("the reference page lists every option of every command") {
  Convert v;
  OptionTable table = convert_table(v);
  std::string page;
  REQUIRE_FALSE(parse(table, {"--help-markdown"}, &page));
  for (char const* part :
       {"# refrain-convert", "## refrain-convert import", "| `--out PATH` | the checkpoint | required |", "`PATH...`"})
    CHECK_THAT(page, Catch::Contains(part));
}

#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/base/table.hpp>
#include <refrain/study/configuration.hpp>
#include <refrain/study/sweep.hpp>

#include <filesystem>

using namespace refrain;
using namespace refrain::study;
using namespace refrain::testing;

namespace {

std::vector<SweepMember> read_text(std::string const& table) {
  TemporaryFolder const folder;
  return read_sweep(folder.write("sweep.json", table));
}

std::vector<std::string> folders(std::string const& table) {
  std::vector<std::string> names;
  for (auto const& member : read_text(table)) names.push_back(member.folder());
  return names;
}

std::string error_of(std::string const& table) {
  return problem_of([&] { read_text(table); });
}

}  // namespace

TEST_CASE("numbers are written as the field writes them") {
  CHECK(format_number(0.1) == "0.1");
  CHECK(format_number(1e-6) == "1e-6");
  CHECK(format_number(5e-7) == "5e-7");
  CHECK(format_number(1.25e-10) == "1.25e-10");
  CHECK(format_number(3) == "3");
  CHECK(format_number(1e22) == "1e22");
  for (double const value : {0.1, 1e-6, 2.5e-5, 1.0 / 3, 7e-300, 123456.789})
    CHECK(std::stod(format_number(value)) == value);
}

TEST_CASE("a sweep is a list or a grid") {
  CHECK(folders(R"({"members": [{}, {"beta": 0.3, "learning_rate": 5e-7, "seed": 1}]})") ==
        std::vector<std::string>{"beta=0.1,lr=1e-6,seed=42", "beta=0.3,lr=5e-7,seed=1"});
  CHECK(folders(R"({"grid": {"beta": [0.1, 0.3], "learning_rate": [1e-6, 1e-5]}})") ==
        std::vector<std::string>{"beta=0.1,lr=1e-6,seed=42", "beta=0.1,lr=1e-5,seed=42", "beta=0.3,lr=1e-6,seed=42",
                                 "beta=0.3,lr=1e-5,seed=42"});
}

TEST_CASE("a sweep varies any option of refrain-train") {
  auto const members = read_text(
      R"({"grid": {"loss": ["ipo", "robust"], "lora_rank": [8], "lora-targets": [["q_proj", "v_proj"]],
          "shuffle": [false], "epochs": [0.5]}})");
  REQUIRE(members.size() == 2);
  CHECK(members[0].folder() == "beta=0.1,lr=1e-6,seed=42,epochs=0.5,lora-rank=8,lora-targets=q_proj+v_proj,loss=ipo,"
                               "shuffle=off");
  CHECK(
      join_words(members[1].words()) ==
      "--beta 0.1 --learning-rate 1e-6 --seed 42 --epochs 0.5 --lora-rank 8 --lora-targets q_proj v_proj --loss robust "
      "--shuffle off");
  // The same settings are the same folder, however they are written.
  CHECK(folders(R"({"members": [{"seed": 1, "max-steps": 5, "loss": "ipo"}]})") ==
        folders(R"({"members": [{"loss": "ipo", "max_steps": 5, "seed": 1}]})"));
  CHECK(folders(R"({"members": [{"init_adapter": "/models/an adapter"}]})") ==
        std::vector<std::string>{"beta=0.1,lr=1e-6,seed=42,init-adapter=_models_an_adapter"});
}

TEST_CASE("a sweep's keys and values are those that refrain-train takes") {
  TemporaryFolder const folder;
  auto const message = [&](std::string const& member) {
    auto const file = folder.write("sweep.json", R"({"members": [{)" + member + "}]}");
    auto const text = message_of([&] { read_sweep(file); });
    auto const at = text.find(folder.path.string());
    REQUIRE(at != std::string::npos);
    return text.substr(0, at) + text.substr(at + folder.path.string().size() + 1);
  };
  CHECK(message(R"("lora_rnak": 8)") ==
        "'lora_rnak' is no option of refrain-train [sweep.json:lora_rnak] (did you mean lora-rank?)");
  CHECK(message(R"("lr": 1e-6)") == "'lr' is no option of refrain-train [sweep.json:lr] (did you mean learning-rate?)");
  CHECK(message(R"("wholly_unknown": 1)") ==
        "'wholly_unknown' is no option of refrain-train [sweep.json:wholly_unknown] (docs/options.md lists them)");
  for (std::string const key : {"pairs", "init", "run_dir", "run-dir", "resume", "plan", "nodes"})
    CHECK(message('"' + key + R"(": "x")") == "the sweep sets " + key + ", which the study sets itself [sweep.json:" +
                                                  key + "] (take it out of the table)");
  CHECK(message(R"("tensor_parallel": 2)") == "the sweep sets tensor_parallel, which the study sets itself "
                                              "[sweep.json:tensor_parallel] (export REFRAIN_TENSOR_PARALLEL)");
  CHECK(message(R"("loss": "sigmod")") ==
        R"(loss is "sigmod", not one of sigmoid, ipo, hinge, robust, sft [sweep.json:loss] (did you mean sigmoid?))");
  CHECK(message(R"("lora_rank": 8.5)") ==
        "lora-rank is 8.5, not a whole number [sweep.json:lora-rank] (correct the table)");
  CHECK(message(R"("epochs": "2")") == R"(epochs is "2", not a number [sweep.json:epochs] (correct the table))");
  CHECK(message(R"("lora_targets": [])") ==
        "lora-targets is [], neither a word nor a list of words [sweep.json:lora-targets] (correct the table)");
  CHECK(message(R"("eval_pairs": 1)") == "eval-pairs is 1, not a text [sweep.json:eval-pairs] (correct the table)");
  std::string const path(200, 'a');
  CHECK(message("\"eval_pairs\": \"" + path + '"') ==
        "the folder beta=0.1,lr=1e-6,seed=42,eval-pairs=" + path +
            " would have a name of 236 bytes [sweep.json] (set what all members share in REFRAIN_TRAIN_ARGS or a "
            "study's train_args; 200 bytes "
            "are the most)");
}

TEST_CASE("a table that is wrong says where") {
  CHECK(error_of(R"({"members": []})") == "the sweep has no members");
  CHECK(error_of(R"({"members": [{"beta": 0}]})") == "beta is 0, not a number above 0");
  CHECK(error_of(R"({"members": [{"seed": -1}]})") == "seed is -1, not a whole number from 0");
  CHECK(error_of(R"({"members": [{"lr": 1}]})") == "'lr' is no option of refrain-train");
  CHECK(error_of(R"({"members": [3]})") == "a member is 3, not an object");
  CHECK(error_of(R"({"grid": {"beta": 0.1}})") == "grid.beta is not a list of values");
  CHECK(error_of(R"({"grid": {"beta": [0.1]}, "members": [{}]})") ==
        "the sweep has neither a list 'members' nor an object 'grid', or both");
  CHECK(error_of(R"({"members": [{}, {"beta": 0.1}]})") ==
        "two members of the sweep are beta=0.1,lr=1e-6,seed=42 and would share a folder");
}

TEST_CASE("the tables that come with the project") {
  auto const folder = data_file("slurm/sweeps/default.json").parent_path();
  for (auto const& entry : std::filesystem::directory_iterator(folder)) {
    auto const members = read_sweep(entry.path());
    CHECK(members.size() >= (entry.path().stem() == "paper" ? 1 : 2));
    CHECK(members.front().folder() == "beta=0.1,lr=1e-6,seed=42");  // the paper's setting
    CHECK(find_sweep(entry.path().stem().string()) == entry.path());
  }
  CHECK_THROWS_WITH(find_sweep("nothing"),
                    Catch::Contains("set REFRAIN_SWEEP to a path or one of: beta_by_learning_rate, "
                                    "beta_by_learning_rate_by_seed, default"));
}

TEST_CASE("names of configurations are made of parts") {
  auto const large = find_configuration("dpo_70b_english_only_long");
  CHECK(large.pairs == "english-only-long");
  CHECK(large.tensor_parallel == 4);
  CHECK_THROWS_WITH(find_configuration("dpo_9b_balanced"),
                    Catch::StartsWith("there is no configuration 'dpo_9b_balanced'"));
}

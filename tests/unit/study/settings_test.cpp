#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/study/process.hpp>
#include <refrain/study/settings.hpp>

#include <csignal>

using namespace refrain;
using namespace refrain::study;
using namespace refrain::testing;

namespace {

Words const training{"REFRAIN_PAIRS"};

std::string error_of(Environment const& environment) {
  return message_of<UsageError>([&] { read_settings(environment, training); });
}

Environment with(std::string const& name, std::string const& value) {
  Environment environment{{"REFRAIN_MODEL", "/tmp"}, {"REFRAIN_PAIRS", "/etc/passwd"}, {"REFRAIN_RUNS", "runs"}};
  environment[name] = value;
  return environment;
}

}  // namespace

TEST_CASE("what is missing is named in one line") {
  CHECK(error_of({{"REFRAIN_PAIRS", "/etc/passwd"}}) ==
        "not set: REFRAIN_MODEL, REFRAIN_RUNS (export in env/site.sh or the submitting shell: REFRAIN_MODEL=the "
        "Hugging Face folder or "
        "checkpoint to start from, REFRAIN_RUNS=the folder for run folders)");
  CHECK(error_of(with("REFRAIN_MODEL", "/nowhere")) ==
        "REFRAIN_MODEL names no folder [/nowhere] (set it to a Hugging Face folder or a checkpoint)");
  CHECK(error_of(with("REFRAIN_TENSOR_PARALLEL", "two")) ==
        "REFRAIN_TENSOR_PARALLEL is 'two', not a number above 0 (set it to a number such as 4)");
  CHECK(error_of(with("REFRAIN_DISK_TB", "-1")) ==
        "REFRAIN_DISK_TB is '-1', not a number above 0 (set it to a number such as 12.5)");
}

TEST_CASE("settings are read") {
  auto const settings = read_settings(with("REFRAIN_TRAIN_ARGS", "--epochs 1 --lora-targets 'q k'"), training);
  CHECK(settings.train_args == Words{"--epochs", "1", "--lora-targets", "q k"});
  CHECK(settings.runs.is_absolute());  // ranks may start elsewhere
  CHECK(settings.sweep == "default");
  CHECK_FALSE(settings.tensor_parallel);
  CHECK(read_settings(with("REFRAIN_TENSOR_PARALLEL", "8"), training).tensor_parallel == 8);
}

TEST_CASE("a program's end is told as shells tell it") {
  CHECK(run_captured({"sh", "-c", "exit 85"}, Stderr::inherit).code == 85);
  CHECK(run_captured({"sh", "-c", "kill -KILL $$"}, Stderr::inherit).code == 128 + SIGKILL);
  CHECK(run_captured({"no-such-program"}, Stderr::capture).code == 127);
  CHECK(run_captured({"sh", "-c", "echo out; echo err >&2"}, Stderr::capture).text == "out\nerr\n");
  CHECK(run_captured({"sh", "-c", "echo $REFRAIN_A-$HOME-"}, Stderr::inherit, {{"REFRAIN_A", "1 2"}, {"HOME", ""}})
            .text == "1 2--\n");
  CHECK(in_path("sh"));
  CHECK_FALSE(in_path("no-such-program"));
}

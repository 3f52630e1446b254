#include "fixtures.hpp"

#include <catch2/catch.hpp>

#include <refrain/base/digest.hpp>
#include <refrain/base/process.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/base/signals.hpp>

#include <csignal>
#include <filesystem>

#include <sys/wait.h>
#include <unistd.h>

using namespace refrain;
using namespace refrain::testing;
namespace fs = std::filesystem;

TEST_CASE("a process is alive while it runs or is stopped, and dead before it is collected") {
  CHECK(process_life(ProcessId::myself()) == Life::alive);

  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  pid_t const pid = ::fork();
  if (pid == 0) {
    std::string const text = ProcessId::myself().json().dump();
    if (::write(ready[1], text.data(), text.size()) < 0) ::_exit(1);
    for (;;) ::pause();
  }
  char text[512];
  ssize_t const size = ::read(ready[0], text, sizeof text);
  ProcessId const process = ProcessId::from_json(Json::parse(text, text + size));
  CHECK(process.pid == pid);
  CHECK(process_life(process) == Life::alive);
  ::kill(pid, SIGSTOP);
  ::waitpid(pid, nullptr, WUNTRACED);
  CHECK(process_life(process) == Life::alive);
  ::kill(pid, SIGKILL);
  siginfo_t info;
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);  // it is left uncollected
  CHECK(process_life(process) == Life::dead);
  ::waitpid(pid, nullptr, 0);
  CHECK(process_life(process) == Life::dead);

  ProcessId elsewhere = process;
  elsewhere.machine = "another";
  CHECK(process_life(elsewhere) == Life::unknown);
}

TEST_CASE("a signal asks for a stop and does no more") {
  pid_t const pid = ::fork();  // handlers stay for the life of a process
  if (pid == 0) {
    install_stop_handlers();
    bool const before = stop_requested();
    std::raise(SIGUSR1);
    ::_exit(!before && stop_requested() && stop_signal() == SIGUSR1 ? 7 : 1);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("provenance says who made an output and from what") {
  TemporaryFolder const folder;
  fs::path const pairs = folder.write("pairs.h5", "abc"), model = folder.path / "model";
  fs::create_directory(model);
  fs::path const config = folder.write("model/config.json", "{}");
  Provenance provenance("refrain-train", {{"beta", 0.1}});
  provenance.add_input(pairs);
  provenance.add_input(model);
  provenance.set("host", "\xff is no UTF-8");
  Json const json = Json::parse(provenance.text());
  CHECK(json["program"] == "refrain-train");
  CHECK(json["options"]["beta"] == 0.1);
  CHECK(json["inputs"][pairs.string()] == sha256("abc"));
  CHECK(json["inputs"][config.string()] == sha256("{}"));
  CHECK(json["libraries"].contains("HDF5"));
  CHECK(json["git_revision"].get<std::string>().size() >= 7);
  CHECK(json["started"].get<std::string>().size() == 20);
}

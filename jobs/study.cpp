#include <refrain/base/launch.hpp>
#include <refrain/base/log.hpp>
#include <refrain/study/member.hpp>

#include <iostream>

int main(int argc, char** argv) {
  using namespace refrain;
  return run_guarded("refrain-study", [&] {
    enable_log(true);
    study::Options options;
    auto table = study::Options::table(options);
    return table.parse(argc, argv, std::cout) ? study::run_member(options) : Exit::success;
  });
}

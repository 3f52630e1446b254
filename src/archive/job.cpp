#include <refrain/archive/job.hpp>

#include "commands.hpp"

#include <refrain/base/signals.hpp>

#include <map>

namespace refrain::archive {
namespace {

std::map<std::string, Exit (*)(Options const&)> const commands{
    {"create", create}, {"verify", verify}, {"list", list}, {"restore", restore}, {"diff", diff}};

}  // namespace

Exit run(Options const& options) {
  install_stop_handlers();
  return commands.at(options.command)(options);
}

}  // namespace refrain::archive

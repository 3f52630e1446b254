#include <refrain/base/json_file.hpp>
#include <refrain/base/launch.hpp>
#include <refrain/comm/communicator.hpp>

#include <exception>

namespace refrain::comm {
namespace {

/// An Error in a form that travels.
std::string packed(std::exception const& thrown) {
  auto const* error = dynamic_cast<Error const*>(&thrown);
  Json const json = {{"problem", error ? error->problem() : error_text(thrown)},
                     {"remedy", error ? error->remedy() : ""},
                     {"file", error ? error->place().file.string() : ""},
                     {"object", error ? error->place().object : ""},
                     {"rank", error ? error->place().rank : -1},
                     {"exit", static_cast<int>(exit_code_of(thrown))}};
  return dump_text(json);
}

}  // namespace

void agree(Communicator const& comm, std::function<void()> const& work) {
  std::string failure;
  std::exception_ptr thrown;
  try {
    work();
  } catch (std::exception const& error) {
    failure = packed(error);
    thrown = std::current_exception();
  }
  if (comm.size() == 1) {
    if (thrown) std::rethrow_exception(thrown);
    return;
  }
  int64_t const failures = comm.sum(int64_t{thrown != nullptr});
  if (failures == 0) return;
  auto const root = static_cast<int>(comm.min(int64_t{thrown ? comm.rank() : comm.size()}));
  Json const json = Json::parse(comm.broadcast(failure, root));
  Place place{.rank = json["rank"], .file = json["file"].get<std::string>(), .object = json["object"]};
  // The rank matters where ranks differ. What rank 0 alone does for all of them is the job's failure, and so is what
  // fails on all.
  if (place.rank < 0 && failures < comm.size() && (root > 0 || failures > 1)) place.rank = root;
  throw AgreedError(json["problem"], json["remedy"], std::move(place), Exit{json["exit"].get<int>()}, comm.size());
}

}  // namespace refrain::comm

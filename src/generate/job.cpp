#include <refrain/generate/job.hpp>

#include "answers.hpp"
#include "batch_source.hpp"
#include "source.hpp"

#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>

namespace refrain::generate {

Exit run(Options const& options, comm::Communicator const& world) {
  bool const only_requests = options.endpoint.source() == endpoint::Source::batch_out;
  auto const source = open_source(options, world);
  std::optional<Answers> answers;
  comm::agree(world, [&] {
    answers.emplace(options, source->form(), source->settings());
    source->check(answers->asked());
  });
  answers->open(world, only_requests ? Purpose::look : Purpose::go_on);
  if (answers->complete()) {
    log_line("every answer is in " + options.out.string() + " already");
    return Exit::success;
  }
  if (only_requests) {
    write_requests(options, *answers, world);
    return Exit::success;
  }
  if (!answers->missing().empty() && !source->answer(*answers)) {
    comm::agree(world, [&] {
      if (world.rank() != 0) return;
      log_line(answers->any_kept() ? "stopped; what is answered is kept in " + answers->parts().folder().string()
                                   : "stopped before anything was answered; the same command begins again");
    });
    return Exit::stopped_early;
  }
  world.barrier();  // no rank has signs of life in the folder any more, which goes now
  comm::agree(world, [&] {
    if (world.rank() != 0) return;
    Provenance provenance("refrain-generate", options.record);
    provenance.add_input(options.prompts);
    source->describe(provenance);
    answers->write(std::move(provenance), source->token_ids());
  });
  return Exit::success;
}

}  // namespace refrain::generate

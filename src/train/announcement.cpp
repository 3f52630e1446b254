#include <refrain/train/announcement.hpp>

#include <refrain/base/counted.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/table.hpp>

#include "formatted.hpp"

namespace refrain::train {
namespace {

std::string describe(Balance const& balance, int data_size) {
  std::string text = "micro-batches of up to " + format_count(balance.most_tokens) +
                     formatted(" tokens, %ld a step", balance.micro_batches);
  if (data_size > 1)
    text += formatted(" (the dearest of %d ranks' costs %.1f %% more than the mean, at worst %.1f %%)", data_size,
                      100 * (balance.waiting - 1), 100 * (balance.worst - 1));
  return text;
}

}  // namespace

std::string announcement(checkpoint::ModelConfig const& config, Candidate const& chosen, Formats const& formats,
                         Workload const& workload, int threads, int64_t disk) {
  int64_t tokens = 0;
  for (int64_t pair = 0; pair < workload.lengths.size(); ++pair)
    tokens += pair_tokens(workload.lengths, pair, workload.batches.answers);
  int const data = chosen.layout.data;
  Balance const balance = balance_of(workload.lengths, workload.seed, workload.steps, workload.batches, data);
  auto const bytes = [](int64_t count) { return format_bytes(static_cast<double>(count)); };
  std::string const adapter = formats.adapter ? "(" + format_count(trained_count(config, formats.adapter)) +
                                                    " of them the adapter's, which is trained) "
                                              : "";
  return format_count(parameter_count(config, formats.adapter)) + " parameters " + adapter + "in " +
         to_string(formats.weights) + ", " +
         counted(chosen.layout.ranks(), "rank") + " (" + chosen.layout.text() + ") of " + counted(threads, "thread") +
         ", " +
         format_count(workload.lengths.size()) + " pairs, " + format_count(workload.steps) + " steps of " +
         format_count(workload.batches.global_batch_pairs) + " pairs, " + format_count(tokens) + " tokens a pass, " +
         describe(balance, data) + ", about " + bytes(chosen.memory.total()) + " of memory a rank, up to " +
         bytes(disk) + " on disk";
}

}  // namespace refrain::train

// What the Trainer does before its first step: the log-probabilities of the reference model.
#include <refrain/train/trainer.hpp>

#include <refrain/base/file.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/provenance.hpp>
#include <refrain/checkpoint/weights_digest.hpp>

#include "formatted.hpp"

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <thread>

namespace refrain::train {
namespace {

/// All that decides the bits of a pair's log-probabilities beside its tokens and the rows that it is packed with.
/// @collective
Json cache_settings(Options const& options, Json const& key, comm::ParallelLayout const& layout,
                    model::ParameterStore const& store) {
  model::Backend const& backend = store.backend();
  int const tensor_size = layout.tensor().size();
  Json settings{{"weights", checkpoint::weights_digest(options.init, layout.world())},
                {"adapter", key.contains("lora") ? key.at("lora") : Json(nullptr)},  // that the run starts from
                {"dtype", key.at("dtype")},
                {"device", backend.device().is_cuda() ? "cuda" : "cpu"},
                {"tensor_parallel", tensor_size},
                {"sequence_parallel", tensor_size > 1 && store.options().sequence == model::SequenceParallel::on},
                {"share_prompt", options.share_prompt},
                {"threads", at::get_num_threads()},
                {"logits_chunk_rows", options.logits_chunk_rows ? Json(*options.logits_chunk_rows) : Json(nullptr)},
                {"processor", backend.processor()},
                {"libtorch", TORCH_VERSION},
                {"version", version()},
                {"revision", git_revision()}};
  // Rank 0's, where the ranks' nodes differ.
  return Json::parse(layout.world().broadcast(dump_text(settings), 0));
}

std::vector<int64_t> pairs_of(StepPlan const& plan) {
  std::vector<int64_t> pairs;
  for (auto const& rank : plan.ranks)
    for (auto const& micro_batch : rank) pairs.insert(pairs.end(), micro_batch.begin(), micro_batch.end());
  return pairs;
}

std::vector<int64_t> unknown_of(PairSet const& set, std::vector<int64_t> const& pairs) {
  std::vector<int64_t> unknown;
  for (int64_t const pair : pairs)
    if (std::isnan(set.reference.chosen[static_cast<std::size_t>(pair)])) unknown.push_back(pair);
  return unknown;
}

}  // namespace

void Trainer::recall_reference(Json const& key) {
  auto const fits = [](ReferenceLogps const& logps, PairSet const& set) {
    return logps.chosen.size() == set.reference.chosen.size();
  };
  comm::agree(parts_.layout.world(), [&] {
    if (parts_.folder == nullptr) return;
    std::filesystem::path const file = parts_.options.run_dir / "reference.h5";
    std::optional<Reference> known;
    try {
      known = read_reference(file, key);
    } catch (Error const& error) {
      if (exit_code_of(error) == Exit::usage) throw;
      std::filesystem::rename(file, file.string() + ".damaged");
      log_warning(error_text(error) + ": kept as reference.h5.damaged, and computed again");
    }
    if (!known || !fits(known->train, parts_.train) || (parts_.eval != nullptr && !fits(known->eval, *parts_.eval)))
      return;
    parts_.train.reference = std::move(known->train);
    if (parts_.eval != nullptr) parts_.eval->reference = std::move(known->eval);
  });
  broadcast_reference(parts_.train.reference, parts_.layout.world());
  if (parts_.eval != nullptr) broadcast_reference(parts_.eval->reference, parts_.layout.world());
}

void Trainer::keep_reference(Json const& key) {
  on_rank_0([&](RunFolder& folder) {
    Reference reference{.train = parts_.train.reference, .eval = {}};
    if (parts_.eval != nullptr) reference.eval = parts_.eval->reference;
    write_reference(folder.path() / "reference.h5", reference, key, parts_.checkpoints.provenance);
    folder.write_status("running", progressed());
  });
  last_checkpoint_ = Clock::now();
}

std::vector<Trainer::ReferencePart> Trainer::reference_parts() const {
  std::vector<ReferencePart> parts;
  auto const add = [&](PairSet& set, StepPlan plan, std::string doing) {
    auto pairs = pairs_of(plan);
    parts.push_back({set, std::move(plan), std::move(pairs), std::move(doing)});
  };
  int const data_size = parts_.layout.data().size();
  // The steps' own batches, so that the first step meets the very numbers that it is compared with.
  int64_t const batches = std::min(parts_.steps, steps_per_epoch(parts_.train.pairs.size(), parts_.batches));
  for (int64_t batch = 0; batch < batches; ++batch)
    add(parts_.train,
        plan_step(parts_.train.lengths, static_cast<uint64_t>(parts_.options.seed), batch, parts_.batches, data_size),
        formatted("reference log-probabilities, batch %ld of %ld", batch + 1, batches));
  if (parts_.eval != nullptr)
    add(*parts_.eval, plan_all(*parts_.eval, parts_.batches, data_size),
        "reference log-probabilities of the held-out pairs");
  return parts;
}

void Trainer::recall_shared_reference(std::vector<ReferencePart> const& parts) {
  shared_->recall(parts_.train);
  if (parts_.eval != nullptr) shared_->recall(*parts_.eval);
  reference_batches_ = 0;
  for (auto const& part : parts) {
    if (&part.set != &parts_.train || !unknown_of(part.set, part.pairs).empty()) break;
    ++reference_batches_;
  }
}

int64_t Trainer::unknown_in(std::vector<ReferencePart> const& parts) {
  int64_t count = 0;
  for (auto const& part : parts) count += static_cast<int64_t>(unknown_of(part.set, part.pairs).size());
  return count;
}

int64_t Trainer::wait_for_shared_reference(std::vector<ReferencePart> const& parts) {
  std::string const waiting = "waiting for another run's reference log-probabilities";
  double pause = 0.2;
  for (bool first = true;; first = false) {
    std::string const holder = shared_->lock();
    if (!holder.empty() && first) log_line(waiting + ": " + holder);
    parts_.watchdog.progress(waiting);
    // Under the lock once more: what the last holder wrote at its end.
    if (shared_->refresh()) recall_shared_reference(parts);
    if (holder.empty() || unknown_in(parts) == 0) return 0;
    if (int64_t const reason = stop_reason(true); reason != 0) return reason;
    std::this_thread::sleep_for(std::chrono::duration<double>(pause));
    pause = std::min(2.0, 1.5 * pause);
  }
}

int64_t Trainer::use_shared_reference(Json const& key, std::vector<ReferencePart> const& parts) {
  auto const& options = parts_.options;
  int64_t const wanted = unknown_in(parts);
  parts_.watchdog.progress("digesting the weights for the reference cache");
  shared_ = std::make_unique<SharedReference>(
      parts_.layout.world(), options.reference_cache, cache_settings(options, key, parts_.layout, parts_.store),
      parts_.checkpoints.provenance, 60 * std::min(1.0, options.checkpoint_minutes.value_or(1)));
  if (shared_->refresh()) recall_shared_reference(parts);
  int64_t const reason = unknown_in(parts) == 0 ? 0 : wait_for_shared_reference(parts);
  log_line(formatted("reference log-probabilities: %ld of %ld pairs from the cache, which has %ld of this model",
                     wanted - unknown_in(parts), wanted, shared_->size()));
  return reason;
}

bool Trainer::prepare_reference(Json const& key, std::function<void()> const& load_initial) {
  if (!parts_.options.needs_reference()) return true;
  recall_reference(key);
  auto const parts = reference_parts();
  int64_t const wanted = unknown_in(parts);
  int64_t const batches = static_cast<int64_t>(parts.size()) - (parts_.eval != nullptr ? 1 : 0);
  bool const shares = wanted > 0 && !parts_.options.reference_cache.empty();
  int64_t reason = shares ? use_shared_reference(key, parts) : 0;
  bool changed = unknown_in(parts) < wanted, computed = false;
  Progress progress("reference", batches, "batches");
  for (std::size_t i = 0; i < parts.size() && reason == 0; ++i) {
    auto const& [set, plan, pairs, doing] = parts[i];
    if (shared_) shared_->recall_computed(set, pairs);
    if (auto const unknown = unknown_of(set, pairs); !unknown.empty()) {
      if (!computed) load_initial();
      computed = changed = true;
      auto const begin = Clock::now();
      // What is known in part leaves a batch of its own, within rounding of the step's.
      bool const whole = unknown.size() == pairs.size();
      pass_.fill_reference(set,
                           whole ? plan : plan_pairs(set.lengths, unknown, parts_.batches, parts_.layout.data().size()),
                           alive(doing));
      last_step_seconds_ = std::chrono::duration<double>(Clock::now() - begin).count();
      if (shared_) shared_->add(set, unknown);
    }
    if (&set != &parts_.train) continue;
    progress.advance(reference_batches_ = static_cast<int64_t>(i) + 1);
    if (shared_) shared_->commit_if_due();
    if (!computed && !shared_) continue;  // nothing was done since the last batch
    if (changed && minutes_are_over()) keep_reference(key);
    reason = stop_reason(computed);
  }
  if (shared_) shared_->commit();
  shared_.reset();
  if (changed) keep_reference(key);
  if (reason == 0) return true;
  on_rank_0([&](RunFolder& folder) { folder.write_status("stopped", progressed()); });
  log_line(
      formatted("stopped in the reference pass, after batch %ld of %ld, by %s; the same command goes on from there",
                reference_batches_, batches, name_of_reason(reason)));
  return false;
}

}  // namespace refrain::train

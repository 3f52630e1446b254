#include <refrain/train/trainer.hpp>

#include <refrain/base/counted.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/log.hpp>
#include <refrain/base/sealed_json.hpp>
#include <refrain/base/signals.hpp>
#include <refrain/base/trace.hpp>
#include <refrain/checkpoint/step_folders.hpp>
#include <refrain/train/estimate.hpp>
#include <refrain/train/memory_model.hpp>
#include <refrain/train/schedule.hpp>
#include <refrain/train/time_model.hpp>

#include "formatted.hpp"

#include <cmath>
#include <csignal>

namespace refrain::train {
namespace {

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

constexpr int64_t time_is_over = 1 << 8;  // beside signal numbers, as a reason to stop

}  // namespace

Trainer::Trainer(RunParts parts)
    : parts_(std::move(parts)),
      pass_(parts_.options, parts_.engine, parts_.layout),
      profiler_(parts_.options.profile, parts_.options.profile_steps, parts_.layout.world()),
      state_(parts_.from),
      writer_(parts_.optimizer, parts_.checkpoints, parts_.writes_in_background),
      // Until one was written: at 1 GiB/s.
      checkpoint_seconds_(
          static_cast<double>(run_disk(parts_.store.config(), parts_.store.options().adapter).checkpoint_bytes()) /
          (1 << 30)),
      product_rate_(static_cast<double>(
          parts_.layout.world().sum(static_cast<int64_t>(product_rate(parts_.store.backend().device()))))) {}

void Trainer::on_rank_0(std::function<void(RunFolder&)> const& work) const {
  comm::agree(parts_.layout.world(), [&] {
    if (parts_.folder != nullptr) work(*parts_.folder);
  });
}

std::function<void()> Trainer::alive(std::string doing) const {
  parts_.watchdog.progress(doing);
  return [this, doing = std::move(doing)] { parts_.watchdog.progress(doing); };
}

Exit Trainer::run() {
  saved_step_ = first_step_ = state_.step;
  on_rank_0([&](RunFolder& folder) { folder.open_metrics(progressed()); });
  if (parts_.eval != nullptr && state_.step == 0) evaluate_now("before");

  Progress progress("train", parts_.steps, "steps", state_.step);
  while (state_.step < parts_.steps) {
    if (must_stop()) {
      profiler_.finish();
      return Exit::stopped_early;
    }
    profiler_.begin_step();
    one_step();
    profiler_.end_step();
    progress.advance(state_.step, formatted("%.3g pairs/s", rate_));
    bool const last = state_.step == parts_.steps;
    if (!last && parts_.eval != nullptr && parts_.options.eval_every && state_.step % *parts_.options.eval_every == 0)
      evaluate_now("");
    if (writer_.under_way() && writer_.written()) finish_checkpoint();
    if (!last && checkpoint_due()) begin_checkpoint();
  }
  profiler_.finish();
  finish();
  return Exit::success;
}

void Trainer::one_step() {
  auto const begin = Clock::now();
  trace::Span const whole("planning and metrics", "step", state_.step + 1);
  auto const& options = parts_.options;
  int64_t const step = state_.step;
  auto const plan = plan_step(parts_.train.lengths, static_cast<uint64_t>(options.seed), step, parts_.batches,
                              parts_.layout.data().size());
  SentBytes const sent_before = sent_so_far(parts_.store.backend());
  parts_.store.zero_grads();
  Sums const sums = pass_.train(parts_.train, plan, alive(formatted("step %ld: forward and backward", step + 1)));
  parts_.store.finish_grads();
  check_finite("the loss", sums.loss);
  if (step == 0) check_first_loss(sums);

  double const norm = parts_.optimizer.grad_norm();
  check_finite("the gradient's norm", norm);
  double const learning_rate = learning_rate_at(options, step, parts_.steps);
  parts_.optimizer.step({.number = step + 1,
                         .learning_rate = learning_rate,
                         .weight_decay = options.weight_decay,
                         .grad_scale = clip_factor(norm, options.max_grad_norm)});
  SentBytes const sent = sent_so_far(parts_.store.backend()) - sent_before;
  state_.step = step + 1;
  state_.epoch = plan.epoch;
  state_.num_tokens += sums.sequence_tokens;

  last_step_seconds_ = seconds_since(begin);
  rate_ = sums.pairs / last_step_seconds_;
  double const peak = parts_.layout.world().max(static_cast<double>(parts_.store.backend().peak_memory()));
  Json row = step_row(sums, learning_rate, norm, last_step_seconds_);
  row["peak_memory_bytes"] = static_cast<int64_t>(peak);
  PairWork const all{.tokens = plan.tokens, .scored = static_cast<int64_t>(sums.tokens_chosen + sums.tokens_rejected)};
  row["mfu"] =
      training_flops(parts_.store.config(), parts_.store.options().adapter, all) / (last_step_seconds_ * product_rate_);
  row["sent_bytes/parameters"] = sent.parameters;
  row["sent_bytes/gradients"] = sent.gradients;
  row["sent_bytes/activations"] = sent.activations;
  on_rank_0([&](RunFolder& folder) { folder.append_metrics(row, progressed()); });
}

void Trainer::fail_together(Error const& error) const {
  comm::agree(parts_.layout.world(), [&] { throw error; });
  throw error;
}

void Trainer::check_finite(char const* what, double value) const {
  if (std::isfinite(value)) return;
  fail_together(Error(formatted("%s is %g at step %ld", what, value, state_.step + 1),
                      "look at metrics.jsonl for where it began; a lower --learning-rate often helps",
                      {.file = parts_.options.run_dir}));
}

void Trainer::check_first_loss(Sums const& sums) const {
  auto const& options = parts_.options;
  if (!options.needs_reference()) return;
  bool const bf16 = parts_.store.options().weights == DType::bf16;
  double const allowed = bf16 ? 0.02 : 1e-4;
  double const wanted = initial_loss(options, -sums.logp_chosen / std::max(1.0, sums.tokens_chosen));
  if (std::abs(sums.loss - wanted) <= allowed * std::max(1.0, wanted)) return;
  fail_together(
      Error(formatted("the first step's loss is %.6f, and %.6f where policy and reference are the same model",
                      sums.loss, wanted),
            options.reference_cache.empty()
                ? "remove reference.h5, which belongs to another model, or take the model that it was made with"
                : "remove reference.h5 and the cache that it was filled from, or take another --reference-cache",
            {.file = options.run_dir / "reference.h5"}));
}

Json Trainer::step_row(Sums const& sums, double learning_rate, double grad_norm, double seconds) {
  Json row{{"step", state_.step},
           {"epoch", state_.epoch},
           {"loss", sums.loss},
           {"learning_rate", learning_rate},
           {"grad_norm", grad_norm}};
  append_means(row, sums, parts_.options, "");
  row["num_tokens"] = static_cast<int64_t>(state_.num_tokens);
  row["pairs_per_second"] = sums.pairs / seconds;
  row["tokens_per_second"] = sums.sequence_tokens / seconds;
  row["step_seconds"] = seconds;
  return row;
}

Json Trainer::evaluate_now(std::string const& key) {
  auto const begin = Clock::now();
  Evaluation const evaluation = evaluate(pass_, *parts_.eval, parts_.batches, parts_.layout,
                                         alive(formatted("evaluation after step %ld", state_.step)));
  Json const record = evaluation_record(evaluation, state_.step, parts_.options);
  Json row{{"step", state_.step}, {"epoch", state_.epoch}, {"eval_loss", record.at("all").at("loss")}};
  append_means(row, evaluation.all, parts_.options, "eval_");
  row["eval_seconds"] = seconds_since(begin);
  on_rank_0([&](RunFolder& folder) {
    folder.append_metrics(row, progressed());
    if (!key.empty()) folder.write_evaluation(key, record);
  });
  return record;
}

int64_t Trainer::stop_reason(bool got_further) const {
  // A start gets further at least once, or requeued jobs whose time is too short would go round for ever.
  auto const& options = parts_.options;
  bool const late =
      options.max_seconds && got_further &&
      seconds_since(parts_.started) + 2 * checkpoint_seconds_ + last_step_seconds_ >= *options.max_seconds;
  // The highest that any rank has: all ranks decide alike.
  return parts_.layout.world().max(late ? time_is_over : static_cast<int64_t>(stop_signal()));
}

char const* Trainer::name_of_reason(int64_t reason) {
  return reason == time_is_over ? "--max-seconds"
         : reason == SIGUSR1    ? "SIGUSR1"
         : reason == SIGTERM    ? "SIGTERM"
                                : "SIGINT";
}

bool Trainer::must_stop() {
  int64_t const reason = stop_reason(state_.step > first_step_);
  if (reason == 0) return false;
  if (state_.step > saved_step_) begin_checkpoint();
  finish_checkpoint();
  log_line(formatted("stopped after step %ld of %ld by %s; the same command goes on from there", state_.step,
                     parts_.steps, name_of_reason(reason)));
  on_rank_0([&](RunFolder& folder) { folder.write_status("stopped", progressed()); });
  return true;
}

bool Trainer::minutes_are_over() const {
  double const due = seconds_since(last_checkpoint_) >= 60 * parts_.options.checkpoint_minutes.value_or(30) ? 1 : 0;
  return parts_.layout.world().max(due) > 0;
}

bool Trainer::checkpoint_due() const {
  auto const& options = parts_.options;
  return options.checkpoint_every ? state_.step % *options.checkpoint_every == 0 : minutes_are_over();
}

void Trainer::begin_checkpoint() {
  finish_checkpoint();
  auto const& options = parts_.options;
  last_checkpoint_ = Clock::now();
  parts_.watchdog.progress(formatted("checkpoint of step %ld", state_.step));
  on_rank_0([&](RunFolder& folder) {
    folder.require_lock();
    folder.write_metrics_columns(parts_.checkpoints.provenance);
  });
  bool const read_back = options.verify_writes == checkpoint::VerifyWrites::all ||
                         (options.verify_writes == checkpoint::VerifyWrites::first && saved_step_ == first_step_);
  saved_step_ = state_.step;
  writer_.begin(checkpoint::StepFolders(options.run_dir).folder(saved_step_), state_,
                read_back ? checkpoint::ReadBack::yes : checkpoint::ReadBack::no);
  if (!parts_.writes_in_background) finish_checkpoint();
}

void Trainer::finish_checkpoint() {
  if (!writer_.under_way()) return;
  parts_.watchdog.progress(formatted("end of the checkpoint of step %ld", saved_step_));
  writer_.finish();
  on_rank_0([&](RunFolder&) {
    checkpoint::StepFolders(parts_.options.run_dir)
        .committed(saved_step_, static_cast<int>(parts_.options.keep_checkpoints));
  });
  checkpoint_seconds_ = parts_.layout.world().max(seconds_since(last_checkpoint_));
  parts_.watchdog.progress(formatted("after the checkpoint of step %ld", saved_step_));
}

void Trainer::finish() {
  auto const& options = parts_.options;
  finish_checkpoint();
  Json after;
  if (parts_.eval != nullptr) after = evaluate_now("after");
  parts_.watchdog.progress("final checkpoint");
  checkpoint::StepFolders const folders(options.run_dir);
  on_rank_0([&](RunFolder& folder) {
    folder.require_lock();
    folder.write_metrics_columns(parts_.checkpoints.provenance);
  });
  save_final(folders.final_folder(), parts_.optimizer, parts_.checkpoints, parts_.final_dtype,
             options.verify_writes == checkpoint::VerifyWrites::off ? checkpoint::ReadBack::no
                                                                    : checkpoint::ReadBack::yes);
  on_rank_0([&](RunFolder& folder) {
    folders.committed_final();
    folder.write_status("finished", progressed());
  });
  if (parts_.eval != nullptr) say_language_table(after);
  log_line("finished " + counted(parts_.steps, "step") + "; the " +
           (parts_.store.options().adapter ? "adapter" : "model") + " is in " + folders.final_folder().string());
}

void Trainer::say_language_table(Json const& after) const {
  if (parts_.folder == nullptr) return;
  // A run that went on from another one's checkpoint has no evaluation before its first step.
  Json const all = read_sealed_json(parts_.options.run_dir / "eval.json");
  log_line("held-out pairs\n" + language_table(all.contains("before") ? all.at("before") : Json(), after));
}

}  // namespace refrain::train

#include <refrain/train/options.hpp>

#include <refrain/base/files.hpp>

namespace refrain::train {

OptionTable Options::table(Options& o) {
  OptionTable table("train", "Trains a model on preference pairs (DPO and its kin, or SFT), resumable at any time.");
  Range<double> const positive{.least = 0, .least_excluded = true};
  Range<double> const not_negative{.least = 0};
  Range<int64_t> const at_least_one{.least = 1};
  constexpr int64_t most_ranks = 1 << 15;  // tensor x data fits an int

  table.group("Input and output")
      .add("pairs", o.pairs, "preference pairs, made by refrain-shard", "FILE.h5")
      .required("plan")
      .add("init", o.init, "model to start from: a checkpoint or a Hugging Face folder; also the reference model",
           "CKPT|HF_DIR")
      .required()
      .add("run-dir", o.run_dir, "folder of this run: metrics, checkpoints, the final model", "DIR")
      .required("plan")
      .add("eval-pairs", o.eval_pairs,
           "held-out pairs: evaluated before the first step, every --eval-every steps and at the end", "FILE.h5")
      .add("eval-every", o.eval_every, "steps between evaluations; without it only before and after", at_least_one);

  table.group("Layout")
      .add("tensor-parallel", o.tensor_parallel, "ranks that share the weights of one model; else the planner's choice",
           {.least = 1, .most = most_ranks})
      .add("data-parallel", o.data_parallel, "models side by side that see different pairs; 0: ranks / tensor-parallel",
           {.least = 0, .most = most_ranks})
      .add("zero", o.zero,
           "what data-parallel ranks share instead of each holding it all: 1 optimizer state, 2 gradients too, 3 "
           "parameters too; else the planner's choice",
           {.least = 0, .most = 3})
      .add("sequence-parallel", o.sequence_parallel,
           "tensor-parallel ranks share the rows between their products; auto: where there are several")
      .add("recompute", o.recompute,
           "what backward computes again instead of keeping it: nothing, the MLP's first product, or whole blocks; "
           "else the planner's choice")
      .add("grad-dtype", o.grad_dtype,
           "number type that gradients are added up in; weights: that of --dtype, for steps of one micro-batch a rank")
      .add("dtype", o.dtype,
           "number type of weights and products; bf16 keeps fp32 master weights; auto: fp32 on a CPU, bf16 on a GPU")
      .add("device", o.device, "where the tensors live; auto: on GPUs where every rank has one");

  table.group("Objective")
      .add("loss", o.loss, "what is minimised; sft: token loss of the chosen answers alone, without a reference")
      .add("beta", o.beta, "strength of the pull towards the reference model", positive)
      .add("label-smoothing", o.label_smoothing, "share of pairs that are believed to be flipped (loss robust)",
           {.least = 0, .most = 0.499})
      .add("sft-weight", o.sft_weight, "adds this much of the chosen answers' token loss", not_negative)
      .add("reference-cache", o.reference_cache,
           "folder in which runs share the reference model's log-probabilities: what one computed, others find there",
           "DIR");

  table.group("LoRA")
      .add("lora-rank", o.lora_rank, "trains an adapter of this rank instead of the model, which is frozen",
           at_least_one)
      .add("lora-alpha", o.lora_alpha, "the adapter's product is multiplied by alpha / rank; without it twice the rank",
           positive)
      .add("lora-targets", o.lora_targets,
           "matrices that get an adapter: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or all-linear "
           "for all of them, which is what they are without it",
           "NAME...")
      .add("lora-rslora", o.lora_rslora, "alpha / sqrt(rank) instead of alpha / rank (rsLoRA); auto: off")
      .add("init-adapter", o.init_adapter,
           "adapter to go on from, a checkpoint or a folder that PEFT wrote; its rank, alpha and targets hold", "DIR");

  table.group("Optimization")
      .add("learning-rate", o.learning_rate, "highest learning rate of AdamW", positive)
      .add("lr-schedule", o.lr_schedule, "course of the learning rate after the warm-up")
      .add("warmup-ratio", o.warmup_ratio, "share of the steps in which the rate rises from 0", {.least = 0, .most = 1})
      .add("epochs", o.epochs, "passes over the pairs", positive)
      .add("max-steps", o.max_steps, "number of optimizer steps, instead of --epochs", at_least_one)
      .add("global-batch-pairs", o.global_batch_pairs, "pairs of an optimizer step, over all ranks", at_least_one)
      .add("micro-batch-tokens", o.micro_batch_tokens,
           "tokens that a rank works on at once; bounds memory, not the result", at_least_one)
      .add("share-prompt", o.share_prompt,
           "computes a pair's prompt once for both answers; the same result within rounding")
      .add("max-grad-norm", o.max_grad_norm, "gradients are scaled down to this norm; 0: never", not_negative)
      .add("weight-decay", o.weight_decay, "AdamW's weight decay, on all but the norms", not_negative)
      .add("seed", o.seed, "of the order of the pairs", {.least = 0})
      .add("shuffle", o.shuffle, "a new order of the pairs in every epoch; off: file order")
      .add("logits-chunk-rows", o.logits_chunk_rows,
           "answer positions whose logits are in memory at once; else as many as fit 64 MiB, 512 MiB on a GPU",
           at_least_one);

  table.group("Checkpoints and stopping")
      .add("checkpoint-every", o.checkpoint_every, "steps between checkpoints", at_least_one)
      .add("checkpoint-minutes", o.checkpoint_minutes,
           "minutes between checkpoints, unless --checkpoint-every; default 30", positive)
      .add("keep-checkpoints", o.keep_checkpoints, "resumable checkpoints kept while the run goes on", at_least_one)
      .add("resume", o.resume,
           "auto: go on from the run folder's last checkpoint, if there is one; never: refuse a folder "
           "that holds a run; or a checkpoint to go on from",
           "auto|never|CKPT")
      .add("background-checkpoints", o.background_checkpoints,
           "writes checkpoints while training goes on, from a copy of the state in host memory (12 bytes a parameter "
           "over the ranks that share it); auto: on GPUs")
      .add("verify-writes", o.verify_writes,
           "which checkpoints are read back from disk: the first and the final one, all, none")
      .add("max-seconds", o.max_seconds,
           "stop with a checkpoint and exit code 85 before this time is over, after one step (or one batch of the "
           "reference pass) at least",
           positive)
      .add("timeout", o.timeout, "seconds after which a rank that gives no sign of life ends the job; 0: never",
           not_negative)
      .add("profile", o.profile,
           "writes where the time of a few steps goes, as a trace for chrome://tracing or Perfetto, and logs a table",
           "FILE")
      .add("profile-steps", o.profile_steps, "steps in that trace, from the second of this start on", at_least_one);

  table.group("Plan")
      .flag("plan", o.plan,
            "prints which layouts fit, and memory, traffic and time of the one that is chosen; runs nothing. Of --init "
            "only config.json is read; without --pairs, lengths like RefusEU's are assumed")
      .add("nodes", o.nodes, "nodes to plan for; without it 1", {.least = 1, .most = 512})
      .add("gpus-per-node", o.gpus_per_node, "GPUs (ranks) of each; without it 4", {.least = 1, .most = 64})
      .add("machine", o.machine, "a name in machines.json; without it H100", "NAME")
      .add("plan-pairs", o.plan_pairs, "pairs to assume where there is no --pairs; without it 34,668", at_least_one)
      .add("plan-out", o.plan_out, "writes the plan as JSON too", "FILE");
  return table;
}

namespace {

void check_reference_cache(std::filesystem::path const& folder) {
  if (!std::filesystem::exists(folder)) return;  // it will be made
  require_folder(folder, "--reference-cache");
  for (char const* name : {"manifest.json", "config.json", "run.json"})
    if (std::filesystem::exists(folder / name))
      throw UsageError("--reference-cache is the folder of a model or a run", "name a folder of its own",
                       {.file = folder / name});
}

}  // namespace

void Options::validate_plan() const {
  bool const asked = nodes || gpus_per_node || plan_pairs || !machine.empty() || !plan_out.empty();
  if (!plan && asked)
    throw UsageError("--nodes, --gpus-per-node, --machine, --plan-pairs and --plan-out belong to --plan",
                     "add --plan, or leave them out");
  if (plan && plan_pairs && !pairs.empty())
    throw UsageError("--plan-pairs and --pairs contradict each other", "give one of them");
}

void Options::validate() const {
  validate_plan();
  for (auto const& [file, option] : {std::pair(profile, "--profile"), std::pair(plan_out, "--plan-out")})
    if (!file.empty()) require_folder(std::filesystem::absolute(file).parent_path(), option);
  if (!reference_cache.empty() && !needs_reference())
    throw UsageError("--reference-cache: --loss sft has no reference", "leave it out, or choose another loss");
  if (!reference_cache.empty() &&
      std::filesystem::weakly_canonical(reference_cache) == std::filesystem::weakly_canonical(run_dir))
    throw UsageError("--reference-cache and --run-dir are one folder", "name a folder of its own", {.file = run_dir});
  if (label_smoothing != 0 && loss != Loss::robust)
    throw UsageError("--label-smoothing belongs to --loss robust alone", "leave it out, or choose --loss robust");
  if (sft_weight != 0 && loss == Loss::sft)
    throw UsageError("--sft-weight adds the token loss to another loss, and --loss sft is that loss", "leave it out");
  if (!trains_adapter() && (lora_alpha || !lora_targets.empty() || lora_rslora != Switch::automatic))
    throw UsageError(std::string(lora_alpha              ? "--lora-alpha"
                                 : !lora_targets.empty() ? "--lora-targets"
                                                         : "--lora-rslora") +
                         " belongs to an adapter, and none is trained",
                     "give --lora-rank or --init-adapter, or leave it out");
  if (checkpoint_every && checkpoint_minutes)
    throw UsageError("--checkpoint-every and --checkpoint-minutes contradict each other", "give one of them");
  if (eval_every && eval_pairs.empty())
    throw UsageError("--eval-every needs --eval-pairs", "name held-out pairs, or leave it out");
  if (plan) {
    require_folder(init, "--init");
    if (!pairs.empty()) require_readable_file(pairs, "--pairs");
    return;
  }
  for (char const* name : {"manifest.json", "config.json"})
    if (std::filesystem::exists(run_dir / name))
      throw UsageError("--run-dir is a model's folder", "name a folder of the run's own", {.file = run_dir / name});
  if (!reference_cache.empty()) check_reference_cache(reference_cache);
  require_readable_file(pairs, "--pairs");
  require_folder(init, "--init");
  if (!init_adapter.empty()) require_folder(init_adapter, "--init-adapter");
  if (!eval_pairs.empty()) require_readable_file(eval_pairs, "--eval-pairs");
  if (resume != "auto" && resume != "never") require_folder(resume, "--resume");
}

}  // namespace refrain::train

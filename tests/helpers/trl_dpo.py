"""TRL's DPOTrainer on the same model, pairs, order and steps, on this CPU or its GPU: the oracle of the training tests."""

import json
import pathlib

import numpy as np
import torch


def weights(model):
    return {name: value.detach().cpu().to(torch.float64).numpy().copy() for name, value in model.named_parameters()}


def train(model_folder, pairs_file, out, dtype=torch.float32, max_length=256, batch=8, steps=12, adapter=None, cpu=True,
          bf16=False, **settings):
    """Trains by TRL with `batch` pairs a step in file order; `adapter` is a folder of PEFT's to train instead.
    Returns (rows of its log, first step's unclipped gradients, final weights), names as in the model's files."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    rows = [json.loads(line) for line in pathlib.Path(pairs_file).read_text().splitlines()]
    ready = "prompt_ids" in rows[0]
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=dtype)
    model.config.pad_token_id = tokenizer.pad_token_id
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter, is_trainable=True)
    gradients = {}

    class KeepFirstGradients(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model=None, **_):
            if not gradients:
                scale = max(1.0, (state_norm[0] + 1e-6) / args.max_grad_norm) if args.max_grad_norm > 0 else 1.0
                gradients.update(
                    {name: p.grad.detach().cpu().double().numpy() * scale for name, p in model.named_parameters()
                     if p.grad is not None}
                )

    state_norm = [0.0]

    class Trainer(DPOTrainer):
        def _prepare_dataset(self, dataset, *arguments):
            return dataset if ready else super()._prepare_dataset(dataset, *arguments)

        def _clip_grad_norm(self, model):
            norm = super()._clip_grad_norm(model)
            state_norm[0] = float(norm)
            return norm

    config = DPOConfig(output_dir=str(out), per_device_train_batch_size=batch, max_steps=steps, max_length=max_length,
                       train_sampling_strategy="sequential", precompute_ref_log_probs=False, optim="adamw_torch",
                       logging_steps=1, save_strategy="no", report_to="none", bf16=bf16, use_cpu=cpu,
                       disable_tqdm=True, gradient_checkpointing=False, disable_dropout=True, seed=42, **settings)
    trainer = Trainer(model=model, args=config, processing_class=tokenizer, train_dataset=Dataset.from_list(rows),
                      callbacks=[KeepFirstGradients()])
    trainer.train()
    log = [row for row in trainer.state.log_history if "loss" in row]
    return log, gradients, weights(trainer.model)


def relative_error(value, truth):
    """|value - truth| / |truth| of one tensor."""
    norm = float(np.linalg.norm(truth))
    return float(np.linalg.norm(np.asarray(value, dtype=np.float64) - truth)) / norm if norm else 0.0

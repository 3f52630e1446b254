"""What generate.py --vllm runs in vLLM's own environment: greedy answers to WORK/prompts.jsonl by the model in WORK/model;
prints the seconds of `generate` alone."""

import argparse
import json
import pathlib
import time

from vllm import LLM, SamplingParams


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--longest", type=int, required=True, help="tokens of an answer")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], required=True)
    options = parser.parse_args()
    stops = json.loads((options.work / "model/generation_config.json").read_text())["eos_token_id"]
    prompts = [{"prompt_token_ids": json.loads(line)["prompt_ids"]}
               for line in (options.work / "prompts.jsonl").read_text().splitlines()]
    model = LLM(str(options.work / "model"), dtype=options.dtype, skip_tokenizer_init=True, max_model_len=1024, seed=0)
    sampling = SamplingParams(temperature=0, max_tokens=options.longest, stop_token_ids=stops, detokenize=False)
    model.generate(prompts[:2], sampling, use_tqdm=False)  # compiles
    begin = time.perf_counter()
    answers = model.generate(prompts, sampling, use_tqdm=False)
    seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "tokens": sum(len(answer.outputs[0].token_ids) for answer in answers)}))


if __name__ == "__main__":
    main()

"""Guards against transformers: Llama Guard's likelihoods under the real Llama-3 vocabulary, PolyGuard's greedy text."""

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from qwen_tokenizer import train
from refrain import copy_folder, data, run
from test_chat_template import trl_template
from test_guard_template import POLYGUARD_SYSTEM, llama_guard_template
from text_tool import random_texts
from verdict_files import read_columns, write_responses

LABELS = ["safe", "unsafe"]
CATEGORY_TOKENS, POLYGUARD_TOKENS = 20, 100
FILES = ["base", "english-only", "balanced"]
SHAPE = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=8, num_key_value_heads=4,
             max_position_embeddings=2048, tie_word_embeddings=False, initializer_range=0.2)


def answers(folder, count):
    """Response files to the same prompts; some answers are the same in all of them."""
    texts = iter(random_texts(count * (len(FILES) + 1), seed=5))
    prompts = [next(texts) for _ in range(count)]
    shared = "I cannot help with restricted activity 17."
    return {name: write_responses(folder / f"{name}.h5", [
        {"row_id": i, "language": "en", "prompt": prompt, "text": shared if i % 4 == 0 else next(texts), "id": f"p{i}"}
        for i, prompt in enumerate(prompts)]) for name in FILES}


def rows(path):
    columns = read_columns(path, "response")
    return list(zip(columns["prompt"], columns["text"], strict=True))


def greedy(model, ids, count):
    out = model.generate(torch.tensor([ids]), max_new_tokens=count, do_sample=False, pad_token_id=0)
    return out[0, len(ids):].tolist()


@pytest.fixture(scope="module")
def llama_guard(tmp_path_factory):
    folder = copy_folder(data("tokenizers/llama3"), tmp_path_factory.mktemp("llama-guard") / "model")
    (folder / "chat_template.jinja").write_text(llama_guard_template(" "))
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model = LlamaForCausalLM(LlamaConfig(vocab_size=128256, eos_token_id=128009, **SHAPE)).eval()
    model.save_pretrained(folder)
    return folder, tokenizer, model


@pytest.mark.parametrize("ranks,tensor", [(1, 1), (2, 2), (2, 1)])
def test_llama_guard_says_what_transformers_computes(llama_guard, ranks, tensor, tmp_path):
    folder, tokenizer, model = llama_guard
    files = answers(tmp_path, 16)
    out = [tmp_path / f"verdicts-{name}.h5" for name in FILES]
    run("judge", "--judge", "llama-guard-3", "--checkpoint", folder, "--responses", *files.values(), "--out", *out,
        "--dtype", "fp32", "--tensor-parallel", tensor, ranks=ranks)
    labels = [tokenizer.encode(word, add_special_tokens=False) for word in LABELS]
    assert [len(ids) for ids in labels] == [1, 1]
    labels = [ids[0] for ids in labels]
    unsafe = 0
    for path, verdicts in zip(files.values(), out, strict=True):
        judge = read_columns(verdicts, "judges/llama-guard-3")
        for i, (prompt, text) in enumerate(rows(path)):
            turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
            ids = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
            ids += tokenizer.encode("\n\n", add_special_tokens=False)
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0, -1, labels]
            p = torch.softmax(logits.double(), 0)[1].item()
            assert abs(judge["score"][i] - p) < 2e-4
            if abs(p - 0.5) < 2e-4:
                continue
            assert judge["label"][i] == int(p > 0.5)
            if p < 0.5:
                assert judge["answer"][i] == "safe" and judge["categories"][i] == ""
                continue
            unsafe += 1
            more = tokenizer.decode(greedy(model, [*ids, labels[1]], CATEGORY_TOKENS), skip_special_tokens=True)
            assert judge["answer"][i] == "unsafe" + more
    assert 5 < unsafe < 43
    run("convert", "verify", *out)


@pytest.fixture(scope="module")
def polyguard(tmp_path_factory):
    folder = tmp_path_factory.mktemp("polyguard")
    train(folder)
    (folder / "chat_template.jinja").write_text(trl_template("qwen2_5.jinja"))
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    torch.manual_seed(2)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), eos_token_id=end, **SHAPE)).eval()
    model.save_pretrained(folder)
    return folder, tokenizer, model


@pytest.mark.parametrize("ranks,tensor", [(1, 1), (2, 2)])
def test_polyguard_writes_what_transformers_writes(polyguard, ranks, tensor, tmp_path):
    folder, tokenizer, model = polyguard
    files = answers(tmp_path, 6)
    out = [tmp_path / f"verdicts-{name}.h5" for name in FILES]
    run("judge", "--judge", "polyguard", "--checkpoint", folder, "--responses", *files.values(), "--out", *out,
        "--dtype", "fp32", "--tensor-parallel", tensor, ranks=ranks)
    for path, verdicts in zip(files.values(), out, strict=True):
        judge = read_columns(verdicts, "judges/polyguard")
        for i, (prompt, text) in enumerate(rows(path)):
            ids = tokenizer.apply_chat_template(
                [{"role": "system", "content": POLYGUARD_SYSTEM},
                 {"role": "user", "content": f"Human user:\n{prompt}\n\nAI assistant:\n{text}"}],
                tokenize=True, add_generation_prompt=True, return_dict=False)
            wanted = tokenizer.decode(greedy(model, ids, POLYGUARD_TOKENS), skip_special_tokens=True)
            assert judge["answer"][i] == wanted
        # A random model's words are in no guard's form: unparsed, never safe.
        assert set(judge["label"]) == {-1} and set(judge["refusal"]) == {-1}

"""Writes what the quickstart starts from, with nothing but Python's own library:

    OUT/model/config.json                                  a small Llama model
    OUT/model/tokenizer.json, tokenizer_config.json        a byte-level BPE with Llama 3's special tokens and chat template
    OUT/ability.jsonl                                      complying answers preferred: what gives the model its ability
    OUT/pairs.jsonl, OUT/held_out.jsonl                    refusals preferred; held out by wording and number

Rows have the columns of RefusEU: chosen, rejected (turns), lang, id, row_id, category. Same arguments, same bytes.
"""

import argparse
import collections
import itertools
import json
import pathlib
import random
import re

# Llama 3's pre-tokenizer, as tokenizer.json names it, and what comes near it in Python's re (for learning merges only).
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
SPLIT_HERE = re.compile(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\w]?[^\W\d_]+|\d{1,3}| ?[^\s\w]+[\r\n]*|\s*[\r\n]+|\s+")
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
CHAT_TEMPLATE = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
    "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
    "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")
HELD_OUT_WORDINGS = 2


def byte_letters():
    """The printable letter that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in printable)
    table = {byte: chr(byte) for byte in printable}
    table.update((byte, chr(256 + place)) for place, byte in enumerate(others))
    return table


def learn_merges(words, most):
    """Byte-pair merges, the most frequent pair first, ties in order of the pair. `words` counts tuples of symbols."""
    merges = []
    words = dict(words)
    while len(merges) < most:
        pairs = collections.Counter()
        for symbols, count in words.items():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        merged = {}
        for symbols, count in words.items():
            out, place = [], 0
            while place < len(symbols):
                if symbols[place:place + 2] == best:
                    out.append("".join(best))
                    place += 2
                else:
                    out.append(symbols[place])
                    place += 1
            merged[tuple(out)] = merged.get(tuple(out), 0) + count
        words = merged
    return merges


def tokenizer(texts, most_merges):
    letters = byte_letters()
    words = collections.Counter()
    for text in texts:
        for word in SPLIT_HERE.findall(text):
            words[tuple(letters[byte] for byte in word.encode())] += 1
    merges = learn_merges(words, most_merges)
    tokens = [letters[byte] for byte in sorted(letters, key=lambda byte: letters[byte])] + ["".join(pair) for pair in merges]
    vocabulary = {token: place for place, token in enumerate(dict.fromkeys(tokens))}
    first = len(vocabulary)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    begin = SPECIAL[0]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": first + place, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True} for place, text in enumerate(SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False}, byte_level]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": begin, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": begin, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": begin, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {begin: {"id": begin, "ids": [first], "tokens": [begin]}}},
        "decoder": byte_level | {"add_prefix_space": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                  "vocab": vocabulary, "merges": [list(pair) for pair in merges]}}


def tokenizer_config():
    return {"bos_token": SPECIAL[0], "eos_token": SPECIAL[4], "pad_token": SPECIAL[1], "chat_template": CHAT_TEMPLATE,
            "clean_up_tokenization_spaces": False, "model_max_length": 512,
            "model_input_names": ["input_ids", "attention_mask"], "tokenizer_class": "PreTrainedTokenizerFast"}


def model_config(vocabulary):
    first = len(vocabulary["model"]["vocab"])
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False, "mlp_bias": False,
            "attention_dropout": 0.0, "bos_token_id": first, "eos_token_id": first + 4, "hidden_act": "silu",
            "hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 4, "num_attention_heads": 8,
            "num_key_value_heads": 4, "head_dim": 12, "initializer_range": 0.1, "max_position_embeddings": 512,
            "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": True, "torch_dtype": "float32",
            "vocab_size": first + len(SPECIAL)}


def rows(placeholders, wordings, numbers, refuse, randomness):
    """One row a language and number; `refuse()` says whether the refusal is the preferred answer."""
    place = 0
    for number in numbers:
        for language, texts in placeholders.items():
            request = randomness.choice(texts["requests"][wordings])
            refusal, compliance = (randomness.choice(texts[kind]) for kind in ("refusals", "compliances"))
            chosen, rejected = (refusal, compliance) if refuse() else (compliance, refusal)
            turns = [[{"role": "user", "content": request.format(n=number)},
                      {"role": "assistant", "content": answer.format(n=number)}] for answer in (chosen, rejected)]
            yield {"chosen": turns[0], "rejected": turns[1], "lang": language, "id": f"{language}-{number}",
                   "row_id": place, "category": f"S{number % 14 + 1}"}
            place += 1


def write_lines(path, items):
    path.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items), encoding="utf-8")


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--ability", type=int, default=80, help="pairs a language from which the model learns to comply")
    parser.add_argument("--pairs", type=int, default=24, help="pairs a language from which it learns to refuse")
    parser.add_argument("--held-out", type=int, default=12, help="held-out pairs a language")
    parser.add_argument("--merges", type=int, default=1400, help="size of the vocabulary beyond bytes and special tokens")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()

    placeholders = json.loads(pathlib.Path(__file__).with_name("placeholders.json").read_text(encoding="utf-8"))
    del placeholders["about"]
    sentences = [text for texts in placeholders.values() for kind in texts.values() for text in kind]
    model = options.out / "model"
    model.mkdir(parents=True, exist_ok=True)
    vocabulary = tokenizer(sentences + ["user", "assistant", "system", "\n\n"] * 12, options.merges)
    write_json(model / "tokenizer.json", vocabulary)
    write_json(model / "tokenizer_config.json", tokenizer_config())
    write_json(model / "config.json", model_config(vocabulary))

    randomness = random.Random(options.seed)
    numbers = iter(randomness.sample(range(10, 1000), options.ability + options.pairs + options.held_out))
    ability, training, held_out = (list(itertools.islice(numbers, count))
                                   for count in (options.ability, options.pairs, options.held_out))
    known, unknown = slice(None, -HELD_OUT_WORDINGS), slice(-HELD_OUT_WORDINGS, None)
    # The model learns to comply, but has seen a refusal now and then, as a real model has.
    write_lines(options.out / "ability.jsonl",
                rows(placeholders, slice(None), ability, lambda: randomness.random() < 0.2, randomness))
    write_lines(options.out / "pairs.jsonl", rows(placeholders, known, training, lambda: True, randomness))
    write_lines(options.out / "held_out.jsonl", rows(placeholders, unknown, held_out, lambda: True, randomness))


if __name__ == "__main__":
    main()

"""A byte-level BPE tokenizer with Llama 3's pre-tokenizer, special tokens and chat template, learned from a few texts."""

import collections
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


def learn(texts, most_merges):
    """The contents of tokenizer.json."""
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


def config():
    """The contents of tokenizer_config.json."""
    return {"bos_token": SPECIAL[0], "eos_token": SPECIAL[4], "pad_token": SPECIAL[1], "chat_template": CHAT_TEMPLATE,
            "clean_up_tokenization_spaces": False, "model_max_length": 512,
            "model_input_names": ["input_ids", "attention_mask"], "tokenizer_class": "PreTrainedTokenizerFast"}

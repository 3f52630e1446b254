"""The tokenizer against Hugging Face's `tokenizers` and, for what stands beside tokenizer.json, transformers."""

import copy
import json
import random
import unicodedata

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from refrain import LONG, data
from qwen_tokenizer import added, published_config, train
from text_tool import assert_equal, random_texts, tokenize, udhr_lines

LLAMA3, STORIES, QWEN2 = "tokenizers/llama3", "stories260K/hf", "qwen2"  # the last is made here
LENGTHS = [1, 2, 47, 48, 49, 50, 255, 256, 257, 5000]  # around the bounds of the short merge and of the word cache


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """The folder of one of the tokenizers above."""
    made = {}

    def find(name):
        if name == QWEN2 and name not in made:
            made[name] = train(tmp_path_factory.mktemp(name))
        return made.get(name) or data(name)
    return find


@pytest.fixture(params=[LLAMA3, STORIES, QWEN2])
def folder(request, folder_of):
    return folder_of(request.param)


def edge_texts():
    repeated = [letter * length for letter in "a " for length in LENGTHS]
    return repeated + ["ab" * 100, "\u00e9" * 3000, "<s>" * 3, "\n \n" * 40, ""]


def peer_ids(folder, texts):
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def test_udhr_lines(folder):
    texts = udhr_lines()
    texts += [unicodedata.normalize("NFD", text) for text in texts]
    assert len(texts) > 13 * 100
    assert_equal(texts, tokenize(folder, texts), peer_ids(folder, texts))


def test_random_texts(folder):
    texts = random_texts(50_000 if LONG else 2_000, seed=9) + edge_texts()
    assert_equal(texts, tokenize(folder, texts), peer_ids(folder, texts))


def test_with_special_tokens(folder):
    texts = random_texts(200, seed=10)
    peer = AutoTokenizer.from_pretrained(str(folder))
    assert_equal(texts, tokenize(folder, texts, "--special"), [peer.encode(text) for text in texts])


@pytest.mark.parametrize("skip", [True, False])
def test_decode(folder, skip):
    peer = AutoTokenizer.from_pretrained(str(folder))
    rng = random.Random(11)
    ids = peer_ids(folder, random_texts(500, seed=12))
    ids += [[rng.randrange(len(peer)) for _ in range(rng.randrange(30))] for _ in range(1_000)]
    assert_equal(ids, tokenize(folder, ids, *["--skip-special"] * skip),
                 [peer.decode(line, skip_special_tokens=skip) for line in ids])


def test_every_code_point():
    """Oniguruma and PCRE2 classify alike all that both know: what differs may only be younger than PCRE2's Unicode."""
    step = 1 if LONG else 13
    points = list(range(0, 0x3000)) + [c for c in range(0x3000, 0x110000, step) if not 0xD800 <= c < 0xE000]
    texts = [f"a{chr(c)} b{chr(c)}1{chr(c)}{chr(c)}'{chr(c)} {chr(c)}" for c in points]
    folder = data(LLAMA3)
    answers = zip(points, tokenize(folder, texts), peer_ids(folder, texts))
    differing = [point for point, ours, theirs in answers if ours != theirs]
    assert all(c > 0x10000 for c in differing) and len(differing) < len(points) // 5_000, differing[:20]


def test_every_code_point_normalised(folder_of):
    """Composition and order of marks, of characters that are younger than the tables of `tokenizers` too."""
    step = 1 if LONG else 13
    points = list(range(0, 0x3100)) + [c for c in range(0x3100, 0x110000, step) if not 0xD800 <= c < 0xE000]
    texts = [f"a{chr(c)}\u0301\u0327{chr(c)} \u0915{chr(c)}\u093c \u1100{chr(c)}\u11a8" for c in points]
    assert_equal(texts, tokenize(folder_of(QWEN2), texts), peer_ids(folder_of(QWEN2), texts))


def metaspace(scheme, split):
    def change(file):
        part = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split}
        file.update(normalizer=None, pre_tokenizer=part, decoder=part)
    return change


def unknown(fuse):
    return lambda file: (file["model"].update(byte_fallback=False, fuse_unk=fuse), file.update(decoder=None))


def half_the_bytes(file):
    for byte in range(0xD8, 0x100):
        del file["model"]["vocab"][f"<0x{byte:02X}>"]


def merges_as_strings(file):
    file["model"]["merges"] = [" ".join(pair) for pair in file["model"]["merges"]]


def odd_added_tokens(file):
    tokens = [added("<A>", lstrip=True), added("<B>", rstrip=True), added("word", single_word=True),
              added("the", normalized=True), added("new tok", normalized=True),
              added("<C>", lstrip=True, rstrip=True, special=True), added("<A><B>"), added("\u2581x"),
              added("\u00e9", single_word=True, lstrip=True), added("s p", normalized=True, special=True)]
    end = len(file["model"]["vocab"]) + len(file["added_tokens"])
    file["added_tokens"] += [{"id": end + i, **token} for i, token in enumerate(tokens)]


def composed_added_tokens(file):
    tokens = [added("e\u0301!", normalized=True), added("a\u0301", special=True), added("\u00e9", normalized=True),
              added("\u212b", normalized=True, special=True, lstrip=True), added("o\u0301", rstrip=True)]
    end = len(file["model"]["vocab"]) + len(file["added_tokens"])
    file["added_tokens"] += [{"id": end + i, **token} for i, token in enumerate(tokens)]


def normalised(*steps):
    return lambda file: file.update(normalizer={"type": "Sequence", "normalizers": list(steps)})


def split(pattern, behavior, invert):
    def change(file):
        file["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert},
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}]}
    return change


CHANGES = {
    "metaspace always": (STORIES, metaspace("always", True)),
    "metaspace first": (STORIES, metaspace("first", True)),
    "metaspace never, whole": (STORIES, metaspace("never", False)),
    "unknown fused": (STORIES, unknown(True)),
    "unknown one by one": (STORIES, unknown(False)),
    "half the bytes": (STORIES, half_the_bytes),
    "ignore_merges": (STORIES, lambda file: file["model"].update(ignore_merges=True)),
    "merges as strings": (STORIES, merges_as_strings),
    "added tokens": (STORIES, odd_added_tokens),
    "added tokens, metaspace": (STORIES, lambda file: (odd_added_tokens(file), metaspace("first", False)(file))),
    "merges only": (LLAMA3, lambda file: file["model"].update(ignore_merges=False)),
    "form C between others": (STORIES, normalised(
        {"type": "Prepend", "prepend": "\u2581"}, {"type": "NFC"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"})),
    "form C, added tokens": (QWEN2, composed_added_tokens),
    "form C, odd added tokens": (QWEN2, odd_added_tokens),
    "form C, whole words": (QWEN2, lambda file: file["model"].update(ignore_merges=True)),
    "byte level": (LLAMA3, split({"String": "-"}, "Removed", False)),
    "split kept": (LLAMA3, split({"Regex": r"\s+|\d{2}"}, "Isolated", True)),
    "split removed": (LLAMA3, split({"Regex": r"[^\s]*"}, "Removed", True)),
}
PIECES = ["<A>", "<B>", "<C>", "word", "the", "new tok", "s p", "<A><B>", "\u2581x", "\u00e9", "<pad>", "<img>",
          "<mask>", "e\u0301!", "\u00e9!", "a\u0301", "\u00e1", "\u212b", "A\u030a", " o\u0301 ", "<|im_end|>"]


@pytest.mark.parametrize("name", CHANGES)
def test_other_pipelines(name, folder_of, tmp_path):
    base, change = CHANGES[name]
    file = json.loads((folder_of(base) / "tokenizer.json").read_text("utf-8"))
    change(file)
    (tmp_path / "tokenizer.json").write_text(json.dumps(file))
    texts = random_texts(600, seed=13, pieces=PIECES) + edge_texts()
    ids = peer_ids(tmp_path, texts)
    assert_equal(texts, tokenize(tmp_path, texts), ids)
    peer = Tokenizer.from_file(f"{tmp_path}/tokenizer.json")
    assert_equal(ids, tokenize(tmp_path, ids, "--skip-special"), [peer.decode(line) for line in ids])


BASE = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "PreTrainedTokenizerFast"}
BY_ID = {"0": added("<unk>", special=True), "1": added("<s>", special=True, lstrip=True),
         "2": added("</s>", special=True), "512": added("<A>"), "513": added("the", normalized=True)}
BESIDE = {  # files beside tokenizer.json
    "class Llama": {"tokenizer_config.json": {**BASE, "tokenizer_class": "LlamaTokenizer"}},
    "class Llama, legacy": {"tokenizer_config.json": {**BASE, "tokenizer_class": "LlamaTokenizerFast", "legacy": True}},
    "as Llama 2 is published": {"tokenizer_config.json": {
        "add_bos_token": True, "add_eos_token": False, "clean_up_tokenization_spaces": False, "legacy": False,
        "pad_token": None, "sp_model_kwargs": {}, "tokenizer_class": "LlamaTokenizer",
        **{name: {"__type": "AddedToken", **{key: value for key, value in added(text, normalized=True).items()
                                             if key != "special"}}
           for name, text in (("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"))}}},
    "class Llama, no prefix": {"tokenizer_config.json": {**BASE, "tokenizer_class": "LlamaTokenizer",
                                                         "add_prefix_space": False}},
    "new special tokens": {"tokenizer_config.json": {**BASE, "pad_token": "<pad>", "mask_token": "<mask>"}},
    "more special tokens": {"tokenizer_config.json": {
        **BASE, "extra_special_tokens": ["<A>", "</s>", {"__type": "AddedToken", **added("<B>", lstrip=True)}]}},
    "older name": {"tokenizer_config.json": {**BASE, "additional_special_tokens": ["word", "the"]}},
    "named by a model": {"tokenizer_config.json": {**BASE, "image_token": "<img>",
                                                   "extra_special_tokens": {"c": "<C>"}}},
    "added_tokens_decoder": {"tokenizer_config.json": {**BASE, "added_tokens_decoder": BY_ID}},
    "split_special_tokens": {"tokenizer_config.json": {**BASE, "split_special_tokens": True}},
    "special_tokens_map": {"tokenizer_config.json": {}, "special_tokens_map.json": {
        "bos_token": {key: value for key, value in added("<s>", rstrip=True).items() if key != "special"},
        "eos_token": "</s>", "pad_token": "<pad>"}},
    "added_tokens.json": {"tokenizer_config.json": BASE, "added_tokens.json": {"<A>": 512, "<B>": 513}},
    "clean up": {"tokenizer_config.json": {**BASE, "clean_up_tokenization_spaces": True}},
}


@pytest.mark.parametrize("name", BESIDE)
def test_files_beside(name, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes((data(STORIES) / "tokenizer.json").read_bytes())
    for file, content in BESIDE[name].items():
        (tmp_path / file).write_text(json.dumps(copy.deepcopy(content)))
    peer = AutoTokenizer.from_pretrained(str(tmp_path))
    texts = random_texts(500, seed=14, pieces=PIECES)
    ids = [peer.encode(text, add_special_tokens=False) for text in texts]
    assert_equal(texts, tokenize(tmp_path, texts), ids)
    for skip in (True, False):
        assert_equal(ids, tokenize(tmp_path, ids, *["--skip-special"] * skip),
                     [peer.decode(line, skip_special_tokens=skip) for line in ids])


PRE_TOKENIZER = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
FIRST = 2_000  # id of <|endoftext|>
QWEN2_BESIDE = {  # changes of tokenizer_config.json, files beside it; tokenizer.json splits as GPT-2's
    "as published": ({}, {}),
    "its other name": ({"tokenizer_class": "Qwen2TokenizerFast"}, {}),
    "by the model's type": ({"tokenizer_class": "PreTrainedTokenizerFast"}, {"config.json": {"model_type": "qwen2"}}),
    "no class, by the type": ({"tokenizer_class": None}, {"config.json": {"model_type": "qwen2"}}),
    "another class": ({"tokenizer_class": "PreTrainedTokenizerFast"}, {}),
    "prefix space": ({"add_prefix_space": True}, {}),
    "tokens named by none": ({"eos_token": ..., "pad_token": ..., "unk_token": ..., "added_tokens_decoder": ...}, {}),
    "fewer in the decoder": ({"added_tokens_decoder": {str(FIRST): added("<|endoftext|>", special=True)},
                              "additional_special_tokens": []}, {}),
    "flags of special tokens": ({"added_tokens_decoder": {
        str(FIRST): added("<|endoftext|>", special=True, lstrip=True),
        str(FIRST + 1): added("<|im_start|>", lstrip=True),
        str(FIRST + 2): added("<|im_end|>", rstrip=True), str(FIRST + 3): added("<A>", lstrip=True),
        str(FIRST + 4): added("<C>", rstrip=True, special=True)}}, {}),
    "more special tokens": ({"additional_special_tokens": ["<A>", "<|im_start|>"], "image_token": "<img>"}, {}),
}


@pytest.mark.parametrize("name", QWEN2_BESIDE)
def test_qwen2_class(name, folder_of, tmp_path):
    changes, files = QWEN2_BESIDE[name]
    file = json.loads((folder_of(QWEN2) / "tokenizer.json").read_text("utf-8"))
    assert len(file["model"]["vocab"]) == FIRST
    config = {key: value for key, value in published_config(FIRST, **changes).items() if value is not ...}
    file.update(normalizer=None, pre_tokenizer=PRE_TOKENIZER)
    for path, content in {"tokenizer.json": file, "tokenizer_config.json": config, **files}.items():
        (tmp_path / path).write_text(json.dumps(content))
    peer = AutoTokenizer.from_pretrained(str(tmp_path))
    texts = random_texts(500, seed=15, pieces=[*PIECES, "<|im_start|> ", " <|im_end|> ", "<|endoftext|>", "12345"])
    ids = [peer.encode(text, add_special_tokens=False) for text in texts]
    assert_equal(texts, tokenize(tmp_path, texts), ids)
    for skip in (True, False):
        assert_equal(ids, tokenize(tmp_path, ids, *["--skip-special"] * skip),
                     [peer.decode(line, skip_special_tokens=skip) for line in ids])


def test_what_is_not_understood_is_named(tmp_path):
    file = json.loads((data(STORIES) / "tokenizer.json").read_text("utf-8"))
    file["normalizer"] = {"type": "NFKC"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(file))
    with pytest.raises(AssertionError, match="normalizer NFKC is not understood"):
        tokenize(tmp_path, ["a"])

"""Files for the tests of refrain-shard: rows in, our HDF5 files back, without the project's code."""

import json
import pathlib

import h5py


def write_jsonl(path, rows):
    path = pathlib.Path(path)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def text_column(file, name):
    data, offsets = file[f"{name}/bytes"][()].tobytes(), file[f"{name}/offsets"][()]
    return [data[a:b].decode() for a, b in zip(offsets, offsets[1:])]


def datasets(path):
    """Every dataset of a file: what must be equal at any number of ranks."""
    found = {}
    with h5py.File(path, "r") as file:
        def keep(name, item):
            if isinstance(item, h5py.Dataset):
                found[name] = item[()].tolist()

        file.visititems(keep)
    return found


def provenance(path):
    with h5py.File(path, "r") as file:
        value = file.attrs["provenance"]
        return json.loads(value.decode() if isinstance(value, bytes) else str(value))


def read_pairs(path):
    """A list of {prompt, chosen, rejected: ids; row_id, id, language, category, style}."""
    with h5py.File(path, "r") as file:
        tokens, group = file["tokens"][()], file["pair"]
        labels = {name: text_column(group, name) for name in ("id", "language", "category", "style")}
        rows = []
        for i, row_id in enumerate(group["row_id"][()].tolist()):
            row = {"row_id": row_id, **{name: column[i] for name, column in labels.items()}}
            for part in ("prompt", "chosen", "rejected"):
                begin, length = int(group[f"{part}_begin"][i]), int(group[f"{part}_length"][i])
                row[part] = tokens[begin:begin + length].tolist()
            rows.append(row)
        return rows


def read_prompts(path):
    """A list of {ids, text, row_id, id, language, category, style}."""
    with h5py.File(path, "r") as file:
        tokens, group = file["tokens"][()], file["prompt"]
        labels = {name: text_column(group, name) for name in ("id", "language", "category", "style", "text")}
        rows = zip(group["begin"][()], group["length"][()], group["row_id"][()].tolist())
        return [{"ids": tokens[b:b + n].tolist(), "row_id": row_id,
                 **{name: texts[i] for name, texts in labels.items()}}
                for i, (b, n, row_id) in enumerate(rows)]


LANGUAGES = ("en", "de", "fr", "it", "es", "pt", "pl", "cs", "sk", "sl", "lt", "lv")


VISIBLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = VISIBLE + [byte for byte in range(256) if byte not in VISIBLE]  # by their id in the tokenizer below


def tiny_text(ids):
    """The text of ids of `tiny_tokenizer`, special tokens left out."""
    return bytes(BYTES[i] for i in ids if i < 256).decode()


def tiny_tokenizer(folder, **config):
    """A tokenizer of Llama 3's kind that knows the 256 bytes and the special tokens alone; needs no other file."""
    folder = pathlib.Path(folder)
    folder.mkdir()
    letters = [chr(byte) for byte in VISIBLE] + [chr(256 + i) for i in range(256 - len(VISIBLE))]
    special = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    split = {"type": "Split", "pattern": {"Regex": r"\s+|\S+"}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": 256 + i, "content": text, **flags} for i, text in enumerate(special)],
        "normalizer": None, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {letter: i for i, letter in enumerate(letters)}, "merges": []}}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": special[0], "eos_token": special[3]}))
    if config:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def pair_row(row_id, language, **more):
    """A pair as RefusEU has them: turn lists that include the prompt. The content is a placeholder."""
    ask = {"role": "user", "content": f"[{language}] restricted activity {row_id}"}
    return {"chosen": [ask, {"role": "assistant", "content": f"[{language}] I cannot help with {row_id}."}],
            "rejected": [ask, {"role": "assistant", "content": f"[{language}] Sure: step {row_id}."}],
            "lang": language, "id": f"{language}-{row_id}", "row_id": row_id, "category": f"S{1 + row_id % 14}", **more}


def corpus(each=10, more_english=0, languages=LANGUAGES):
    """`each` pairs a language, row by row, and some more in English."""
    return [pair_row(row_id, language) for row_id in range(each + more_english)
            for language in languages if row_id < each or language == "en"]

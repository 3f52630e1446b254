"""A tokenizer of Qwen2's kind, trained on the spot: byte-level BPE behind NFC, in the files that Qwen publishes."""

import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from text_tool import udhr_lines

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
           r"|\s+(?!\S)|\s+")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def added(content, **flags):
    """A token as the files write it, with flags off but for those given."""
    token = dict(content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    return {**token, **flags}


def published_config(first_id, **more):
    """tokenizer_config.json as it stands beside Qwen2-Instruct, but for the chat template."""
    return {"add_prefix_space": False,
            "added_tokens_decoder": {str(first_id + i): added(text, special=True) for i, text in enumerate(SPECIAL)},
            "additional_special_tokens": SPECIAL[1:], "bos_token": None, "clean_up_tokenization_spaces": False,
            "eos_token": "<|im_end|>", "errors": "replace", "model_max_length": 32768, "pad_token": "<|endoftext|>",
            "split_special_tokens": False, "tokenizer_class": "Qwen2Tokenizer", "unk_token": None, **more}


def train(folder, size=2_000, lines=None):
    """Of the test data's texts, or of `lines`. Writes tokenizer.json and tokenizer_config.json into `folder`; the vocabulary has about `size` tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.train_from_iterator(udhr_lines() if lines is None else lines, trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in SPECIAL])
    folder = pathlib.Path(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = published_config(tokenizer.token_to_id(SPECIAL[0]))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder

"""Writes what the quickstart starts from, with nothing but Python's own library:

    OUT/tokenizer/tokenizer.json, tokenizer_config.json    a byte-level BPE with Llama 3's special tokens and chat template
    OUT/NAME.config.json                                   small Llama models: the one that answers (model) and the judges
    OUT/ability.jsonl                                      complying answers preferred: what gives the model its ability
    OUT/pairs.jsonl, OUT/held_out.jsonl                    refusals preferred; held out by wording and number
    OUT/prompts.jsonl                                      requests to answer, in the held-out wordings, with other numbers
    OUT/guard-one.jsonl, guard-two.jsonl, adjudicator.jsonl    what each judge learns from
    OUT/labelled-CLASS.jsonl                               conversations of a class that measure the judges
    OUT/languages.txt                                      every wording with its language, for fastText

Rows have the columns of RefusEU: chosen, rejected (turns), lang, id, row_id, category. Same arguments, same bytes.
"""

import argparse
import itertools
import json
import pathlib
import random

import conversations
import tokenizer

HERE = pathlib.Path(__file__).parent
MODEL_ANSWERS = slice(3)  # of each language's answers; the judges learn others beside them
MODEL = {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 4}
CATEGORIES = [f"S{number}" for number in range(1, 15)]
ASKED = [category for category in CATEGORIES if category != "S4"]  # which refrain-generate does not answer


def model_config(vocabulary, shape):
    first = len(vocabulary["model"]["vocab"])
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False, "mlp_bias": False,
            "attention_dropout": 0.0, "bos_token_id": first, "eos_token_id": first + 4, "hidden_act": "silu",
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": shape["hidden_size"] // 8,
            "initializer_range": 0.1, "max_position_embeddings": 512, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
            "tie_word_embeddings": True, "torch_dtype": "float32", "vocab_size": first + len(tokenizer.SPECIAL)} | shape


def category_of(number):
    """Any: the placeholders have no subject."""
    return CATEGORIES[number % 14]


def rows(placeholders, wordings, numbers, refuse, randomness):
    """One row a language and number; `refuse()` says whether the refusal is the preferred answer."""
    place = 0
    for number in numbers:
        for language, texts in placeholders.items():
            request = randomness.choice(texts["requests"][wordings])
            refusal, compliance = (randomness.choice(texts[kind][MODEL_ANSWERS]) for kind in ("refusals", "compliances"))
            chosen, rejected = (refusal, compliance) if refuse() else (compliance, refusal)
            turns = [[{"role": "user", "content": request.format(n=number)},
                      {"role": "assistant", "content": answer.format(n=number)}] for answer in (chosen, rejected)]
            yield {"chosen": turns[0], "rejected": turns[1], "lang": language, "id": f"{language}-{number}",
                   "row_id": place, "category": category_of(number)}
            place += 1


def prompts(placeholders, wordings, numbers, randomness):
    place = 0
    for number in numbers:
        for language, texts in placeholders.items():
            yield {"prompt": randomness.choice(texts["requests"][wordings]).format(n=number), "lang": language,
                   "id": f"{language}-{number}", "row_id": place, "category": category_of(number)}
            place += 1


def wordings(texts):
    """All of a language, of restricted activities and of permitted ones."""
    restricted = [text for kind in ("requests", "compliances", "refusals") for text in texts[kind]]
    return restricted + [conversations.permit(text, texts["permitted"])
                         for kind in ("requests", "compliances") for text in texts[kind]]


def sentences(placeholders, judges, definitions):
    """What the tokenizer is learned from: each wording once, and words that stand in every conversation."""
    always = ["user", "assistant", "system", "\n\n", *(said for judge in judges.values() for said in judge["says"].values())]
    always += [turn["content"] for definition in definitions.values() for turn in conversations.ask(definition, "", "", "")]
    return [text for texts in placeholders.values() for text in wordings(texts)] + always * 12


def read_json(name):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


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
    parser.add_argument("--prompts", type=int, default=2, help="requests a language and category that are answered")
    parser.add_argument("--labelled", type=int, default=8, help="conversations a language and class that measure the judges")
    parser.add_argument("--merges", type=int, default=2000, help="size of the vocabulary beyond bytes and special tokens")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()

    placeholders = read_json("placeholders.json")
    del placeholders["about"]
    judges = read_json("judges.json")
    definitions = {name: read_json(f"{name}.json") for name in judges}

    (options.out / "tokenizer").mkdir(parents=True, exist_ok=True)
    vocabulary = tokenizer.learn(sentences(placeholders, judges, definitions), options.merges)
    write_json(options.out / "tokenizer/tokenizer.json", vocabulary)
    write_json(options.out / "tokenizer/tokenizer_config.json", tokenizer.config())
    for name, shape in {"model": MODEL, **{name: judge["model"] for name, judge in judges.items()}}.items():
        write_json(options.out / f"{name}.config.json", model_config(vocabulary, shape))

    randomness = random.Random(options.seed)
    numbers = iter(randomness.sample(range(10, 1000), 990))
    ability, training, held_out = (list(itertools.islice(numbers, count))
                                   for count in (options.ability, options.pairs, options.held_out))
    known, unknown = slice(None, -conversations.HELD_OUT_REQUESTS), slice(-conversations.HELD_OUT_REQUESTS, None)
    # The model learns to comply, but has seen a refusal now and then, as a real model has.
    write_lines(options.out / "ability.jsonl",
                rows(placeholders, slice(None), ability, lambda: randomness.random() < 0.2, randomness))
    write_lines(options.out / "pairs.jsonl", rows(placeholders, known, training, lambda: True, randomness))
    write_lines(options.out / "held_out.jsonl", rows(placeholders, unknown, held_out, lambda: True, randomness))

    for name, judge in judges.items():
        write_lines(options.out / f"{name}.jsonl", conversations.training_rows(
            placeholders, judge, definitions[name], list(itertools.islice(numbers, judge["numbers"])), randomness))
    (options.out / "languages.txt").write_text("".join(
        f"__label__{language} {text}\n" for language, texts in placeholders.items() for text in wordings(texts)), encoding="utf-8")
    for label in conversations.CLASSES:
        write_lines(options.out / f"labelled-{label}.jsonl", conversations.held_out_rows(
            placeholders, label, list(itertools.islice(numbers, options.labelled)), randomness))
    numbers = list(numbers)
    asked = [number for category in ASKED for number in
             itertools.islice((number for number in numbers if category_of(number) == category), options.prompts)]
    write_lines(options.out / "prompts.jsonl", prompts(placeholders, unknown, asked, randomness))


if __name__ == "__main__":
    main()

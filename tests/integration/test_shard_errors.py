"""Bad input of refrain-shard: each ends with one exact line, the right exit code, and no output."""

import gzip
import json
import shutil

import pytest

from refrain import fails, run
from shard_files import corpus, pair_row, tiny_tokenizer, write_jsonl


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return tiny_tokenizer(tmp_path_factory.mktemp("tokenizer") / "model")


@pytest.fixture
def refused(tokenizer, tmp_path):
    """Runs refrain-shard, which must end with `line`; {in}, {out}, {dir} and {tokenizer} stand for paths."""
    def call(line, rows=None, text=None, *, options=("--configuration", "all"), exit_code=1, ranks=1, folder=None,
             defaults=True):
        path = tmp_path / "in.jsonl"
        if rows is not None:
            write_jsonl(path, rows)
        elif text is not None:
            path.write_bytes(text)
        out = tmp_path / "out.h5"
        names = {"{in}": str(path), "{out}": str(out), "{dir}": str(tmp_path), "{tokenizer}": str(folder or tokenizer)}
        def fill(word):
            for name, value in names.items():
                word = str(word).replace(name, value)
            return word
        words = list(options)
        if defaults:
            words += ["--tokenizer", folder or tokenizer, "--chat-template", "llama-3", "--out", out]
        if defaults and not {"--pairs", "--prompts"} & set(map(str, options)):
            words = ["--pairs", path, *words]
        fails("shard", *map(fill, words), line=fill(line), exit_code=exit_code, ranks=ranks)
        assert sorted(name.name for name in tmp_path.iterdir() if name.name.startswith("out")) == []
    return call


GOOD = pair_row(1, "en")


def without(*columns, **more):
    return {**{key: value for key, value in GOOD.items() if key not in columns}, **more}


ROWS = {
    "missing chosen": (without("chosen"), "column chosen is missing [{in}:line 2] (a pair has chosen and rejected, as "
                                          "turns or text, or prompt_ids, chosen_ids and rejected_ids)"),
    "chosen a number": (without("chosen", chosen=3),
                        "column chosen is of type number, a string or a list of turns is wanted [{in}:line 2] (correct "
                        "the row, or leave it out)"),
    "turn without content": (without("chosen", chosen=[{"role": "user"}]),
                             "column chosen[0] has no content [{in}:line 2] (a turn is {role, content})"),
    "content null": (without("rejected", rejected=[{"role": "user", "content": None}]),
                     "column rejected[0].content is of type null, a string is wanted [{in}:line 2] (correct the row, "
                     "or leave it out)"),
    "turn a string": (without("chosen", chosen=[{"role": "user", "content": ""}, "no"]),
                      "column chosen[1] is of type string, an object with role and content is wanted [{in}:line 2] "
                      "(correct the row, or leave it out)"),
    "nothing in common": (without("chosen", chosen=[{"role": "user", "content": "x"}]),
                          "chosen and rejected have no turn in common, so there is no prompt [{in}:line 2] (add a "
                          "prompt column, or begin both with the prompt's turns)"),
    "a prompt too many": (without(prompt=[{"role": "user", "content": "x"}]),
                          "the row has a prompt, though the file's first row has none [{in}:line 2] (keep rows with "
                          "and without a prompt column in files of their own)"),
    "row_id a string": (without("row_id", row_id="1"),
                        "column row_id is of type string, an integer is wanted [{in}:line 2] (correct the row, or "
                        "leave it out)"),
    "row_id too large": (without("row_id", row_id=2**63),
                         "column row_id is 9223372036854775808, beyond 64 bits [{in}:line 2] (number the rows from 0)"),
    "lang a list": (without("lang", lang=["en"]),
                    "column lang is of type array, a string is wanted [{in}:line 2] (correct the row, or leave it "
                    "out)"),
    "tools": (without(tools=[{"name": "x"}]), "column tools is not empty, and the chat templates here do not render it "
              "[{in}:line 2] (leave the row out, or give ready token ids (prompt_ids, chosen_ids, rejected_ids))"),
}


@pytest.mark.parametrize("name", ROWS)
def test_bad_row(refused, name):
    row, line = ROWS[name]
    refused(line, [GOOD, row])


TEXTS = {
    "empty file": (b"", "the file is empty [{in}] (give --pairs a file of JSON lines or Parquet)"),
    "blank lines": (b"\n \n", "the file has no rows [{in}] (leave it out of --pairs)"),
    "broken JSON": (json.dumps(GOOD).encode() + b'\n{"chosen": \n',
                    "broken JSON at byte 12 [{in}:line 2] (each line must be one whole JSON object)"),
    "not an object": (json.dumps(GOOD).encode() + b"\n[1]\n",
                      "the line is of type array, not an object [{in}:line 2] (each line must be one JSON object of "
                      "columns)"),
    "one array": (b"[" + json.dumps(GOOD).encode() + b"]",
                  "the file is one JSON array, not JSON lines [{in}:line 1] (write one object a line, as `jq -c '.[]'` "
                  "does)"),
    "invalid UTF-8 later": (json.dumps(GOOD).encode() + b'\n{"prompt": "a", "chosen": "b\xc3", "rejected": "c"}\n',
                            "invalid UTF-8 at byte 30 [{in}:line 2] (write the file in UTF-8)"),
    "no gzip": (b"\x1f\x8b\x08junk", "the gzip data is cut off or damaged: unknown header flags set [{in}] (compress "
                                     "or copy the file again)"),
    "invalid UTF-8": (b'{"chosen": "\xff\xfe"}', "invalid UTF-8 at byte 13 [{in}:line 1] (write the file in UTF-8)"),
    "binary": (b"\x7fELF\0\0\0\0", "the file is neither JSON lines nor Parquet [{in}] (give JSON lines (.gz too) or "
                                   "Parquet)"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_bad_file(refused, name):
    text, line = TEXTS[name]
    refused(line, text=text)


@pytest.mark.parametrize("ranks", [1, 3])
def test_the_first_wrong_row_speaks_at_any_number_of_ranks(refused, ranks):
    rows = corpus(20)
    rows[70] = {**rows[70], "row_id": 1.5}
    rows[40] = {**rows[40], "category": 2}
    refused("column category is of type number, a string is wanted [{in}:line 41] (correct the row, or leave it out)",
            rows, ranks=ranks)


@pytest.mark.parametrize("column", ["lang", "row_id", "category"])
def test_selection_needs_labels(refused, column):
    refused(f"column {column} is missing [{{in}}:line 1] (add it, or use --configuration all, which selects nothing by "
            "it)",
            [without(column)], options=("--configuration", "english-only"))


def test_languages(refused):
    refused("there are no rows for language de, fr, it, es, pt, pl, cs, sk, sl, lt, lv, which configuration balanced "
            "takes (give files with such rows (column lang), or another --configuration)", [GOOD],
            options=("--configuration", "balanced"))
    refused("--configuration xx: no configuration or language has this name (it is one of all, balanced, "
            "balanced-matched, cs, de, en, english-only, english-only-long, es, fr, high-resource, it, lt, lv, "
            "no-english, pl, pt, sk, sl, or one of your own from --language-sets FILE)", [GOOD],
            options=("--configuration", "xx"), exit_code=2)
    refused("column lang is empty [{in}:line 2] (name the row's language, or use --configuration all)",
            [GOOD, without("lang", lang="")], options=("--configuration", "en"))


def test_dev_side(refused):
    both = ("--configuration", "all", "--dev-fraction", "0.5", "--dev-out", "{out}.dev")
    refused("--dev-fraction parts whole groups of one row_id, and there is one group (give rows with different row_id, "
            "or leave --dev-fraction out)", [GOOD, GOOD], options=both)
    refused("--dev-fraction is given without --dev-out (give both, or neither)", [GOOD], options=both[:4], exit_code=2)
    refused("--dev-out is given without --dev-fraction (give both, or neither)", [GOOD], options=both[:2] + both[4:],
            exit_code=2)
    refused("--out and --dev-out are the same file (give each side a file of its own)", [GOOD],
            options=both[:5] + ("{out}",), exit_code=2)


OPTIONS = {
    "no configuration": ([], "--configuration is missing (name a language set, for example balanced, or all for every "
                             "row in file order)"),
    "pairs and prompts": (["--prompts", "{in}"], "--pairs and --prompts are both given (give one of them: each makes a "
                          "file of its own kind)"),
    "unknown": (["--max-lenght", 3], "unknown option --max-lenght (did you mean --max-length?)"),
    "no value": (["--configuration"], "option --configuration needs a value (write --configuration NAME)"),
    "twice": (["--seed", 1, "--seed", 2], "option --seed is given twice (give it once)"),
    "too small": (["--max-length", 1], "--max-length: 1 is out of range (give a whole number from 2 to 2147483647)"),
    "too large": (["--dev-fraction", 1.5], "--dev-fraction: 1.5 is out of range (give a number above 0 and up to 1)"),
    "no number": (["--seed", "x"], "--seed: 'x' is not a whole number (give a whole number of at least 0)"),
    "no choice": (["--tokenization", "hf"], "--tokenization: 'hf' is not one of trl, trl-legacy (give one of them)"),
    "all held out": (["--configuration", "all", "--dev-fraction", 1, "--dev-out", "{dir}/dev.h5"],
                     "--dev-fraction 1 leaves nothing for --out (give a share below 1, for example 0.05)"),
    "no folder": (["--configuration", "all", "--dev-fraction", 0.5, "--dev-out", "{dir}/none/dev.h5"],
                  "--dev-out names a folder that does not exist [{dir}/none] (check the path)"),
    "missing sets": (["--configuration", "all", "--language-sets", "{dir}/none"],
                     "--language-sets names a file that does not exist [{dir}/none] (check the path)"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_usage(refused, name):
    words, line = OPTIONS[name]
    refused(line, [GOOD], options=["--pairs", "{in}", *words], exit_code=2)


def test_neither_pairs_nor_prompts(refused):
    refused("neither --pairs nor --prompts is given (give one of them: each makes a file of its own kind)",
            defaults=False, options=("--configuration", "all", "--tokenizer", "{tokenizer}", "--out", "{out}"),
            exit_code=2)


def test_an_output_in_a_folder_that_is_not_there(refused):  # told before anything is read
    refused("--out names a folder that does not exist [{dir}/none] (check the path)", text=b"no rows\n", exit_code=2,
            defaults=False, options=("--configuration", "all", "--tokenizer", "{tokenizer}", "--pairs", "{in}", "--out",
                                     "{dir}/none/out.h5"))


A_SET = ('(a set is {"languages": ["en", "de"]} or {"languages": "any"}, with "total_of" or "repeat_to" naming '
         'another)')
SETS = {
    "empty": ("", "the file is empty, where JSON is wanted [{dir}/sets.json] (make it again)"),
    "broken": ('{"sets": {\n"own": }}',
               "broken JSON: syntax error while parsing value - unexpected '}'; expected '[', '{', or a literal "
               "[{dir}/sets.json:line 2, column 8] (correct the file or make it again)"),
    "no sets": ("{}", 'there is no object "sets" [{dir}/sets.json] (language sets are {"sets": {"NAME": {"languages": '
                      '["en", "de"]}}})'),
    "of nothing": ('{"sets": {"own": {"languages": ["en"], "total_of": "other"}}}',
                   "there is no set other [{dir}/sets.json:sets.own] " + A_SET),
    "no rows": ('{"sets": {"own": {"languages": ["xx"]}}}',
                "there are no rows for language xx, which configuration own takes (give files with such rows (column "
                "lang), or another --configuration)"),
}


@pytest.mark.parametrize("name", SETS)
def test_language_sets(refused, tmp_path, name):
    text, line = SETS[name]
    (tmp_path / "sets.json").write_text(text)
    refused(line, [GOOD], options=("--configuration", "own", "--language-sets", "{dir}/sets.json"))


def test_tokenizer(refused, tokenizer, tmp_path):
    folder = tmp_path / "model"
    file = folder / "tokenizer.json"
    folder.mkdir()
    call = lambda line: refused(line, [GOOD], folder=folder)
    call(f"cannot read the file: No such file or directory [{file}] (check the path)")
    file.write_text("")
    call(f"the file is empty, where JSON is wanted [{file}] (make it again)")
    file.write_text('{"model": {\n"type": "BPE",\n')
    call("broken JSON: syntax error while parsing object key - unexpected end of input; expected string literal "
         f"[{file}:line 3, column 1] (correct the file or make it again)")
    file.write_text("{}")
    call(f"there is no model with a vocabulary in it [{file}] (give the tokenizer.json that belongs to the model)")
    shutil.copytree(tokenizer, folder, dirs_exist_ok=True)
    refused(f"the model has no chat template [{folder}] (name one of the same form with --chat-template "
            "NAME|FILE.json; NAME is one of chatml, llama-2, llama-3, llama-3.1, llama-3.2, llama-guard-3, polyguard, "
            "qwen2, qwen2.5)", [GOOD], defaults=False,
            options=("--configuration", "all", "--pairs", "{in}", "--tokenizer", folder, "--out", "{out}"))


def test_token_ids(refused):
    ids = {"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3]}
    refused("column rejected_ids holds the token id 260, the model knows 0 to 259 [{in}:line 2] (make the ids with the "
            "tokenizer of {tokenizer})", [ids, {**ids, "rejected_ids": [260]}])
    refused("column chosen_ids holds the token id -4, the model knows 0 to 259 [{in}:line 1] (make the ids with the "
            "tokenizer of {tokenizer})", [{**ids, "chosen_ids": [-4]}])
    refused("column chosen_ids is missing [{in}:line 2] (ready token ids need it)", [ids, {"prompt_ids": [1]}])
    refused("column prompt_ids[0] is of type number, a token id is wanted [{in}:line 1] (correct the row, or leave it "
            "out)",
            [{**ids, "prompt_ids": [0.5]}])


def test_vocabulary(refused, tmp_path):
    small = tiny_tokenizer(tmp_path / "small", vocab_size=259)
    refused("the tokenizer has 260 ids, the model's vocab_size is 259 [{tokenizer}/tokenizer.json] (give the model's "
            "own tokenizer)", [GOOD], folder=small)
    larger = tiny_tokenizer(tmp_path / "larger", vocab_size=300)  # padded, as many models are: no error
    run("shard", "--pairs", tmp_path / "in.jsonl", "--tokenizer", larger, "--chat-template", "llama-3",
        "--configuration", "all", "--out", tmp_path / "larger.h5")


def test_prompts(refused):
    options = ("--prompts", "{in}")
    refused("column prompt is missing [{in}:line 1] (a prompt is in prompt (a string or turns), messages (turns) or "
            "prompt_ids)",
            [{"text": "x"}], options=options)
    refused("column prompt has no turns [{in}:line 1] (leave the row out)", [{"prompt": []}], options=options)
    refused("column messages is of type string, a list of turns is wanted [{in}:line 2] (correct the row, or leave it "
            "out)", [{"prompt": "x"}, {"messages": "x"}], options=options)
    refused("column prompt_ids is empty [{in}:line 2] (nothing can follow it: leave the row out)",
            [{"prompt_ids": [1]}, {"prompt_ids": []}], options=options)
    refused("column prompt_ids holds the token id 260, the model knows 0 to 259 [{in}:line 1] (make the ids with the "
            "tokenizer of {tokenizer})", [{"prompt_ids": [260]}], options=options)


def test_template(refused, tmp_path):
    """llama-2 takes turns in order only; the row is named."""
    user = {"role": "user", "content": "x"}
    rows = [{"prompt": [user, user], "chosen": [{"role": "assistant", "content": "a"}],
             "rejected": [{"role": "assistant", "content": "b"}]}]
    options = ("--configuration", "all", "--tokenizer", "{tokenizer}", "--out", "{out}", "--pairs", "{in}")
    refused("roles do not alternate: turn 2 is of role 'user' [{in}:line 1] (chat template llama-2 wants user, "
            "assistant, user, ... behind a system turn)", rows,
            options=(*options, "--chat-template", "llama-2"), defaults=False)


def test_template_options(refused):
    options = ("--configuration", "all", "--tokenizer", "{tokenizer}", "--out", "{out}", "--pairs", "{in}")
    def call(line, *more, exit_code=1):
        refused(line, [GOOD], options=(*options, *more), defaults=False, exit_code=exit_code)
    call("there is no chat template 'llama3' (--chat-template takes auto, one of chatml, llama-2, llama-3, llama-3.1, "
         "llama-3.2, llama-guard-3, polyguard, qwen2, qwen2.5, or a JSON file)", "--chat-template", "llama3")
    call("--template-date is '2024-07-26' (give a day like 26 Jul 2024)", "--template-date", "2024-07-26",
         "--chat-template", "llama-3.2", exit_code=2)
    call("--template-date is '30 Feb 2025' (give a day like 26 Jul 2024)", "--template-date", "30 Feb 2025",
         exit_code=2)
    call("a date is given, and chat template llama-3 writes none (leave --template-date out)", "--template-date",
         "01 Jan 2025", "--chat-template", "llama-3")
    call("chat template llama-guard-3 is a guard's, which renders no answer to be learnt [{in}:line 1] (name the "
         "template of a model that answers (--chat-template), or give the guard's own answers as text or ready token "
         "ids)", "--chat-template", "llama-guard-3")


OWN_FORM = {"name": "mine", "turns": {"*": {"prefix": "{role}:", "suffix": "\n", "strip": True}}}
FORMS = {
    "broken": ("{", "broken JSON: syntax error while parsing object key - unexpected end of input; expected string "
                    "literal [{dir}/form.json:line 1, column 2] (correct the file or make it again)"),
    "a list": ([], "'template' should be an object [{dir}/form.json:template] (correct the file)"),
    "unknown key": ({**OWN_FORM, "sytem": {}}, "a chat template has no 'sytem' in 'template' "
                    "[{dir}/form.json:sytem] (see docs/chat-templates.md for the form)"),
    "no name": ({"turns": OWN_FORM["turns"]},
                "'name' is missing, should be a string [{dir}/form.json:name] (correct the file)"),
    "no turns": ({"name": "mine"}, "'turns' should name at least one role [{dir}/form.json:turns] (correct the file)"),
    "no strip": ({**OWN_FORM, "turns": {"user": {"prefix": ""}}},
                 "'strip' is missing, should be true or false [{dir}/form.json:strip] (correct the file)"),
    "use": ({**OWN_FORM, "use": "judge"}, "'use' is 'judge', should be chat or guard [{dir}/form.json:use] (correct "
            "the file)"),
    "place": ({**OWN_FORM, "system": {"place": "last", "strip": True}},
              "'place' is 'last', should be turn or first_turn [{dir}/form.json:system] (correct the file)"),
    "lines": ({**OWN_FORM, "policy": ["a", 1]},
              "'policy' is a list, should be a list of strings [{dir}/form.json:policy] (correct the file)"),
    "date": ({**OWN_FORM, "date": "today", "begin": "{date}"},
             "'date' is 'today', not a day like 26 Jul 2024 [{dir}/form.json:date] (correct the file)"),
    "date unwritten": ({**OWN_FORM, "date": "26 Jul 2024"}, "there is a 'date', and {date} is written nowhere "
                       "[{dir}/form.json:date] (see docs/chat-templates.md for the form)"),
    "date unnamed": ({**OWN_FORM, "end": "{date}"}, "{date} is written, and there is no 'date' [{dir}/form.json:date] "
                     "(see docs/chat-templates.md for the form)"),
    "other turns": ({**OWN_FORM, "exact_roles": ["user"]},
                    "chat template mine renders the turns user, not user, assistant [{in}:line 1] (give these turns, "
                    "or another template)"),
}


@pytest.mark.parametrize("name", FORMS)
def test_own_template(refused, tmp_path, name):
    form, line = FORMS[name]
    (tmp_path / "form.json").write_text(form if isinstance(form, str) else json.dumps(form))
    refused(line, [GOOD], defaults=False, options=(
        "--configuration", "all", "--tokenizer", "{tokenizer}", "--out", "{out}", "--pairs", "{in}", "--chat-template",
        "{dir}/form.json"))


def test_paths(refused, tokenizer, tmp_path):
    options = ("--configuration", "all", "--chat-template", "llama-3", "--out", "{out}")
    def call(line, *more, exit_code=2, rows=(GOOD,)):
        refused(line, list(rows), options=(*options, *more), exit_code=exit_code, defaults=False)
    call("--pairs names a file that does not exist [{dir}/none.jsonl] (check the path)", "--tokenizer", "{tokenizer}",
         "--pairs", "{dir}/none.jsonl")
    call("--pairs names a folder, where a file is wanted [{dir}] (name a file)", "--tokenizer", "{tokenizer}",
         "--pairs", "{dir}")
    call("--tokenizer names a folder that does not exist [{dir}/none] (check the path)", "--tokenizer", "{dir}/none",
         "--pairs", "{in}")
    (tmp_path / "folder").mkdir()
    refused("the output is a folder [{dir}/folder] (name a file)", [GOOD], defaults=False, options=(
        "--configuration", "all", "--tokenizer", "{tokenizer}", "--pairs", "{in}", "--out", "{dir}/folder"))


def test_gzip_cut_off(refused):
    whole = gzip.compress(b"\n".join(json.dumps(row).encode() for row in corpus(50)))
    refused("the gzip data is cut off or damaged: unexpected end of file [{in}] (compress or copy the file again)",
            text=whole[:-200])


def test_parquet(refused, tmp_path):
    parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    path = tmp_path / "in.parquet"
    options = ("--configuration", "all", "--pairs", "{dir}/in.parquet")
    parquet.write_table(arrow.Table.from_pylist([GOOD, {**GOOD, "lang": None, "rejected": None}]), path)
    if "cannot read" in run("shard", *map(lambda word: word.replace("{dir}", str(tmp_path)), options), "--tokenizer",
                            tmp_path, "--out", tmp_path / "x.h5", exit_code=1).stderr:
        pytest.skip("built without Parquet")
    refused("column rejected is missing [{dir}/in.parquet:row 1] (a pair has chosen and rejected, as turns or text, or "
            "prompt_ids, chosen_ids and rejected_ids)", options=options)
    parquet.write_table(arrow.table({"chosen": ["a"], "rejected": ["b"],
                                     "when": arrow.array([0], arrow.timestamp("s"))}), path)
    refused("column when has the type timestamp[ms], which no column of ours has [{dir}/in.parquet:row 0] (leave the "
            "column out, or write it as text, numbers or lists of these)", options=options)
    path.write_bytes(path.read_bytes()[:100])
    refused("the Parquet file cannot be read: Parquet magic bytes not found in footer. Either the file is corrupted or "
            "this is not a parquet file. [{dir}/in.parquet] (copy or make the file again)", options=options)


def test_an_output_in_the_place_of_something_else(tokenizer, tmp_path):
    source, other = tmp_path / "in.jsonl", tmp_path / "notes.txt"
    write_jsonl(source, [GOOD])
    other.write_text("not ours\n")
    words = ["--pairs", source, "--tokenizer", tokenizer, "--chat-template", "llama-3", "--configuration", "all",
             "--overwrite", "--out"]
    before = source.read_bytes()
    fails("shard", *words, tmp_path / "." / "in.jsonl", exit_code=2,
          line=f"an output has the name of an input [{tmp_path}/in.jsonl] (give the output another name)")
    fails("shard", *words, other,
          line=f"the output exists and is no HDF5 file [{other}] (give another name, or remove it yourself)")
    assert source.read_bytes() == before and other.read_text() == "not ours\n"

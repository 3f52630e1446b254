"""Bad input of refrain-judge: each ends with one exact line, the right exit code, and no output."""

import json
import re
import signal
import socket

import pytest

from chat_server import KEY, ChatServer, silent, status, write_requests
from judging import SECRET, answers, batch_result, guard_verdicts, says, server_options
from processes import Running
from refrain import copy_folder, fails, run, stories_with_template
from small_guard import ASK, VERDICT, write_judge
from verdict_files import write_responses, write_verdicts

TEXTS = [f"{SECRET} one", f"{SECRET} two"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return stories_with_template(tmp_path_factory.mktemp("judge-errors") / "model")


@pytest.fixture
def refused(tmp_path, model):
    """Runs refrain-judge over good answers with options that must end with `line`; {dir} stands for the folder, {model}
    for a checkpoint, {guard} for a judge that is asked by chat."""
    file = answers(tmp_path, TEXTS)
    guard = write_judge(tmp_path, "small-guard")
    for name, labels in {"one": [0, 0], "two": [0, 1]}.items():
        guard_verdicts(file, name, labels)
    out = tmp_path / "out.h5"

    def call(line, *options, judge="{guard}", responses=("{dir}/responses.h5",), out=("{dir}/out.h5",), exit_code=1,
             **keywords):
        fill = lambda word: str(word).replace("{dir}", str(tmp_path)).replace("{model}", str(model)).replace(
            "{guard}", str(guard))
        words = [*(["--judge", judge] if judge else []), *(["--responses", *responses] if responses else []),
                 *(["--out", *out] if out else []), *options]
        done = fails("judge", *map(fill, words), line=fill(line), exit_code=exit_code, **keywords)
        assert SECRET not in done.stdout + done.stderr
        assert not (tmp_path / "out.h5").exists()
    return call


SERVER = ["--endpoint", "http://127.0.0.1:9/v1", "--model", "m"]
ASKED = ["--checkpoint", "{model}"]
BOTH = ["--verdicts", "{dir}/one.h5", "{dir}/two.h5"]
USAGE = {
    "no judge": ([], "option --judge is missing (add --judge NAME|FILE.json: who judges: a shipped judge's name or a file "
                 "of your own (docs/judges.md); or merge, which joins verdict files)", {"judge": ""}),
    "unknown judge": (ASKED, "--judge lama-guard: there is no judge of this name (it is one of adjudicator, correctness, "
                      "fluency, language, llama-guard-3, polyguard, refusal-pattern, merge, or a file of your own, "
                      "FILE.json)", {"judge": "lama-guard"}),
    "no definition": (ASKED, "--judge names a file that does not exist [{dir}/none.json] (check the path)",
                      {"judge": "{dir}/none.json"}),
    "no answers": (ASKED, "--responses is missing (name files with answers, made by refrain-generate)", {"responses": ()}),
    "answers that are not there": (ASKED, "--responses names a file that does not exist [{dir}/none.h5] (check the path)",
                                   {"responses": ("{dir}/none.h5",)}),
    "the same answers twice": (ASKED, "--responses names a file twice [{dir}/./responses.h5] (name each file once)",
                               {"responses": ("{dir}/responses.h5", "{dir}/./responses.h5"),
                                "out": ("{dir}/out.h5", "{dir}/out-2.h5")}),
    "fewer outputs than inputs": (ASKED, "--responses names 2 files, --out 1 (name a file of verdicts for each file of "
                                  "answers)", {"responses": ("{dir}/responses.h5", "{dir}/one.h5")}),
    "one output for two": (ASKED, "--out names a file twice [{dir}/./out.h5] (name each file once)",
                           {"responses": ("{dir}/responses.h5", "{dir}/one.h5"), "out": ("{dir}/out.h5", "{dir}/./out.h5")}),
    "an input as output": (ASKED, "--out and --responses are one file [{dir}/responses.h5] (name another file)",
                           {"out": ("{dir}/responses.h5",)}),
    "verdicts as output": ([*ASKED, *BOTH], "--out and --verdicts are one file [{dir}/two.h5] (name another file)",
                           {"out": ("{dir}/two.h5",)}),
    "a folder as output": (ASKED, "--out names a folder [{dir}] (name a file)", {"out": ("{dir}",)}),
    "an output nowhere": (ASKED, "--out names a folder that does not exist [{dir}/none] (check the path)",
                          {"out": ("{dir}/none/out.h5",)}),
    "answers as requests": (["--model", "m", "--batch-out", "{dir}/responses.h5"],
                            "--batch-out and --responses are one file [{dir}/responses.h5] (name another file)", {}),
    "nobody to ask": ([], "judge small-guard asks a model, and none is named (give --checkpoint, or --endpoint with "
                      "--model)", {}),
    "two to ask": ([*ASKED, *SERVER], "both a checkpoint and a server are to be asked (give --checkpoint or --endpoint)", {}),
    "no model's name": (SERVER[:2], "--model is missing (name the model that is to answer, as the server names it)", {}),
    "no model's name for results": (["--batch-in", "{dir}/small-guard.json"], "--model is missing (name the model that the "
                                    "requests of --batch-out were for)", {}),
    "a checkpoint that is not there": (["--checkpoint", "{dir}/none"],
                                       "--checkpoint names a folder that does not exist [{dir}/none] (check the path)", {}),
    "a key over the network": (["--endpoint", "http://judge.example:8000/v1", "--model", "m"],
                               "REFRAIN_API_KEY would go to http://judge.example:8000/v1/chat/completions unencrypted (use "
                               "https://, unset REFRAIN_API_KEY, or give --endpoint-insecure on where the network is "
                               "trusted)", {"REFRAIN_API_KEY": KEY}),
    "a guard by tokens through a server": (SERVER, "judge llama-guard-3 is asked by tokens, not by chat (give its "
                                           "--checkpoint, or a judge of your own that asks by chat (docs/judges.md))",
                                           {"judge": "llama-guard-3"}),
    "a template for a server": ([*SERVER, "--chat-template", "llama-3"],
                                "--chat-template is given without --checkpoint (take it away: a server has its own)", {}),
    "a template for a guard that has one": ([*ASKED, "--chat-template", "llama-3"],
                                            "judge polyguard has a chat template of its own (take --chat-template away)",
                                            {"judge": "polyguard"}),
    "a judge that wants the prompt": ([*ASKED, "--show-prompt", "off"],
                                      "judge small-guard cannot do without the prompt (take --show-prompt off away, or name "
                                      "a judge that has 'user_without_prompt')", {}),
    "ranks for a server": ([*SERVER, "--tensor-parallel", 2],
                           "--tensor-parallel is given without --checkpoint (name the checkpoint, or take it away)", {}),
    "a model for phrases": (ASKED, "judge refusal-pattern asks no model (take --checkpoint and --endpoint away)",
                            {"judge": "refusal-pattern"}),
    "a template for phrases": (["--show-prompt", "off"],
                               "judge refusal-pattern asks no model (take --chat-template and --show-prompt away)",
                               {"judge": "refusal-pattern"}),
    "no language model": ([], "--language-model is missing (name fastText's lid.176.ftz or lid.176.bin)",
                          {"judge": "language"}),
    "a language model that is not there": (["--language-model", "{dir}/lid.176.ftz"],
                                           "--language-model names a file that does not exist [{dir}/lid.176.ftz] (check "
                                           "the path)", {"judge": "language"}),
    "a language model for a guard": ([*ASKED, "--language-model", "{dir}/responses.h5"],
                                     "judge small-guard uses no --language-model (take it away, or name --judge language)",
                                     {}),
    "guards alone": ([*ASKED, "--guards", "one"],
                     "--guards is given without --verdicts (name the files that have these judges' verdicts)", {}),
    "an adjudicator's name": ([*ASKED, *BOTH, "--adjudicator", "one"], "--adjudicator is given without --judge merge (take "
                              "it away: with --verdicts, --judge decides)", {}),
    "two files to adjudicate": ([*SERVER, *BOTH], "--verdicts is given with 2 files of answers (adjudicate one file at a "
                                "time)", {"judge": "adjudicator", "responses": ("{dir}/responses.h5", "{dir}/one.h5"),
                                          "out": ("{dir}/out.h5", "{dir}/out-2.h5")}),
    "a rubric to adjudicate": ([*SERVER, *BOTH], "--verdicts is given, and fluency is no judge of safety (take --verdicts "
                               "away, and join the files by --judge merge)", {"judge": "fluency"}),
    "an adjudicator that has spoken": ([*SERVER, *BOTH], "--verdicts have verdicts of one already (name the guards' files "
                                       "alone, or join the files by --judge merge)", {"judge": "{dir}/one.json"}),
    "nothing to merge": ([], "--verdicts is missing (name the files that are to be joined)",
                         {"judge": "merge", "responses": ()}),
    "answers to merge": (BOTH, "--judge merge reads no --responses (take it away)", {"judge": "merge"}),
    "a checkpoint to merge": ([*BOTH, *ASKED], "--judge merge asks nobody (take --checkpoint, --endpoint and "
                              "--language-model away)", {"judge": "merge", "responses": ()}),
    "two merged files": (BOTH, "--out names 2 files (name one)",
                         {"judge": "merge", "responses": (), "out": ("{dir}/out.h5", "{dir}/out-2.h5")}),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage(refused, tmp_path, name):
    options, line, keywords = USAGE[name]
    write_judge(tmp_path, "one", kind="safety", read={"label": VERDICT})
    refused(line, *options, exit_code=2, **keywords)
    assert not list(tmp_path.glob("*.parts"))


def test_not_the_files_that_are_wanted(refused, tmp_path):
    (tmp_path / "text.h5").write_text("row_id,text\n")
    refused("not an HDF5 file [{dir}/text.h5] (give a file that Refrain wrote)", *ASKED, responses=["{dir}/text.h5"])
    refused("the file is of kind verdicts.v1, but responses.v1 is needed here [{dir}/one.h5] (give the right file)", *ASKED,
            responses=["{dir}/one.h5"])
    refused("the file is of kind responses.v1, but verdicts.v1 is needed here [{dir}/second.h5] (give the right file)",
            *SERVER, "--verdicts", answers(tmp_path, TEXTS, "second"), judge="adjudicator")
    write_responses(tmp_path / "none.h5", [])
    refused("the file has no answers [{dir}/none.h5] (leave it out)", *ASKED, responses=["{dir}/none.h5"])


def test_answers_to_other_prompts(refused, tmp_path):
    remedy = "(judge answers to other prompts in a call of their own)"
    call = lambda line: refused(line + " " + remedy, *ASKED, responses=("{dir}/responses.h5", "{dir}/second.h5"),
                                out=("{dir}/out.h5", "{dir}/out-2.h5"), exit_code=2)
    answers(tmp_path, TEXTS, "second", prompts=["request 0", "another request"])
    call("row 1 answers another prompt than in {dir}/responses.h5 [{dir}/second.h5]")
    answers(tmp_path, TEXTS[:1], "second")
    call("the number of answers is 1, and 2 in {dir}/responses.h5 [{dir}/second.h5]")


def test_verdicts_of_other_answers(refused, tmp_path):
    """Those with the same rows and another text, too."""
    other = answers(tmp_path, [TEXTS[0], "changed"], "second")
    guard_verdicts(other, "three", [0, 1])
    refused("the verdicts are of other responses than those of {dir}/responses.h5 [{dir}/three.h5] (merge verdicts of the "
            "same responses file only)", *SERVER, "--verdicts", "{dir}/one.h5", "{dir}/three.h5", judge="adjudicator")
    write_verdicts(tmp_path / "four.h5", [{"row_id": 0, "id": "p0", "language": "en", "category": "S1"}],
                   {"four": ("safety", {"label": [0]})}, final=False)
    refused("the file has 1 rows, and {dir}/responses.h5 has 2 [{dir}/four.h5] (merge verdicts of the same responses file "
            "only)", *SERVER, "--verdicts", "{dir}/one.h5", "{dir}/four.h5", judge="adjudicator")


def test_guards_that_are_none(refused, tmp_path):
    refused("there is no judge three among the verdicts (there are one, quality, two)", *SERVER, *BOTH, "--guards", "one",
            "three", judge="adjudicator")
    refused("the judge quality is of kind quality and cannot decide (name judges of kind safety)", *SERVER, *BOTH,
            "--guards", "one", "quality", judge="adjudicator")
    run("judge", "--judge", "refusal-pattern", "--responses", tmp_path / "responses.h5", "--out", tmp_path / "refusals.h5")
    refused("no guard has judged these answers (name files of judges of kind safety with --verdicts)", *SERVER,
            "--verdicts", "{dir}/refusals.h5", judge="adjudicator", exit_code=2)


DEFINITIONS = {
    "a misspelt key": ({"reads": {}}, "there is no 'reads' in 'judge' [{file}:reads] (see docs/judges.md for the form)"),
    "a misspelt key within": ({"ask": {**ASK, "maxtokens": 3}},
                              "there is no 'maxtokens' in 'ask' [{file}:maxtokens] (see docs/judges.md for the form)"),
    "a name that is none": ({"name": "My guard"}, "the name 'My guard' is not of small letters, digits, -, _ and . "
                            "[{file}:name] (see docs/judges.md for the form)"),
    "no way to ask": ({"ask": None}, "'ask' is missing [{file}:ask] (see docs/judges.md for the form)"),
    "no answer shown": ({"ask": {"user": "{prompt}", "max_tokens": 3}},
                        "'user' does not show the {response} [{file}:user] (see docs/judges.md for the form)"),
    "nothing read": ({"read": {"categories": {"line": 2}}},
                     "a judge of safety should read 'label' or 'label_tokens' [{file}:read] (see docs/judges.md for the "
                     "form)"),
    "a kind that is none": ({"kind": "danger"}, "the kind 'danger' is none of safety, refusal, rubric, language "
                            "[{file}:kind] (see docs/judges.md for the form)"),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_definition(refused, tmp_path, name):
    changes, line = DEFINITIONS[name]
    path = write_judge(tmp_path, "bad", kind="safety", read={"label": VERDICT})
    form = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in form.items() if value is not None}))
    refused(line.replace("{file}", str(path)), *ASKED, judge=path)


def test_a_definition_that_is_no_json(refused, tmp_path):
    (tmp_path / "bad.json").write_text('{"name": ')
    refused("broken JSON: syntax error while parsing value - unexpected end of input; expected '[', '{', or a literal "
            "[{dir}/bad.json:line 1, column 10] (correct the file or make it again)", *ASKED, judge="{dir}/bad.json")


def test_a_model_that_the_judge_was_not_made_for(refused, tmp_path, model):
    """Its marks or labels are no tokens there."""
    other = "(name a --judge that the checkpoint was made for, or its own checkpoint)"
    refused("the chat template llama-guard-3 writes <|begin_of_text|>, which is no token of this checkpoint "
            "[{model}/tokenizer.json] " + other, *ASKED, judge="llama-guard-3", exit_code=2)
    refused("the chat template polyguard writes <|im_start|>, which is no token of this checkpoint "
            "[{model}/tokenizer.json] " + other, *ASKED, judge="polyguard", exit_code=2, ranks=2)
    labels = write_judge(tmp_path, "labels", kind="safety", read={"label_tokens": {"safe": " he", "unsafe": " unsafe"}},
                         ask={"user": "{response}", "max_tokens": 3})
    refused("the label ' unsafe' of judge labels is not one token of this checkpoint, but 6 [{model}/tokenizer.json] (read "
            "its label in the answer ('label' in place of 'label_tokens'), or name its own checkpoint)", *ASKED,
            judge=labels, exit_code=2)
    refused("judge labels begins the answer or reads likelihoods, which servers do not offer (give --checkpoint, or a judge "
            "that reads 'label' and has no 'answer_begins')", *SERVER, judge=labels, exit_code=2)


def test_chat_templates(refused, tmp_path, model):
    """A guard's for a judge that asks by chat, and one that nobody knows."""
    refused("the chat template llama-guard-3 is a guard's, and judge small-guard asks by chat [{model}] (name the --judge "
            "that the checkpoint was made for, or another --chat-template)", *ASKED, "--chat-template", "llama-guard-3",
            exit_code=2)
    own = copy_folder(model, tmp_path / "own")
    (own / "chat_template.jinja").write_text("{{ messages }}")
    refused(f"the model's chat template (digest d749361a2066) is none that is known [{own}/chat_template.jinja] (name one of the "
            "same form with --chat-template NAME|FILE.json; NAME is one of chatml, llama-2, llama-3, llama-3.1, llama-3.2, "
            "llama-guard-3, polyguard, qwen2, qwen2.5)", "--checkpoint", own)


def test_an_adapter_and_ranks_that_do_not_fit(refused):
    refused("tensor-parallel degree 3 does not divide the model's 8 heads, 4 key-value heads and intermediate size 172 "
            "(degrees that work: 1, 2, 4)", *ASKED, "--tensor-parallel", 3, ranks=3)
    refused("--adapter names a folder that does not exist [{dir}/none] (check the path)", *ASKED, "--adapter", "{dir}/none",
            exit_code=2)


def test_a_server_that_never_answers(refused):
    gone = "(check that it runs, and its log; --endpoint-tries and --endpoint-timeout give it more time)"
    with ChatServer(always=[silent] * 9) as server:
        refused(f"the server gives no answers: no answer within 0.5 s, at the last of 2 tries [{server.url}/chat/completions] "
                + gone, *server_options(server), "--endpoint-tries", 2, "--endpoint-timeout", 0.5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        refused(f"the server gives no answers: nothing takes connections there, at the last of 2 tries "
                f"[{url}/chat/completions] " + gone, "--endpoint", url, "--model", "org/judge", "--endpoint-tries", 2,
                "--endpoint-backoff", 0.02)
    with ChatServer(always=[status(404, {"error": {"message": "no such model"}})] * 9) as server:
        refused(f"HTTP 404: no such model [{server.url}/chat/completions] (check --endpoint (it often ends in /v1) and "
                "--model)", *server_options(server), ranks=2)


def test_results_that_are_none(refused, tmp_path):
    (tmp_path / "results.jsonl").write_text("not JSON\n")
    refused("broken JSON at byte 2 [{dir}/results.jsonl:line 1] (each line must be one whole JSON object)", "--model", "m",
            "--batch-in", "{dir}/results.jsonl")


def test_what_was_made_with_other_settings(tmp_path):
    """Neither a whole file nor a begun one is mixed with others."""
    file, other = answers(tmp_path, TEXTS), answers(tmp_path, ["changed", TEXTS[1]], "second")
    guard, out = write_judge(tmp_path, "small-guard"), tmp_path / "out.h5"
    words = lambda file, model: ["--judge", guard, "--responses", file, "--out", out, "--model", model]
    kept = ("the verdicts kept here were made from other input or with other settings [{}.parts] (give the same ones to go "
            "on, or remove the folder)").format(out)
    run("judge", *words(file, "m"), "--batch-out", tmp_path / "requests.jsonl")
    one = json.loads((tmp_path / "requests.jsonl").read_text().splitlines()[0])["custom_id"]
    results = write_requests(tmp_path / "results.jsonl", [batch_result(one, "Verdict: ok")])
    run("judge", *words(file, "m"), "--batch-in", results, exit_code=1)
    for changed in (words(other, "m"), words(file, "n")):
        fails("judge", *changed, "--batch-out", tmp_path / "requests.jsonl", exit_code=2, line=kept)
    write_judge(tmp_path, "small-guard", about="Changed.")
    fails("judge", *words(file, "m"), "--batch-out", tmp_path / "requests.jsonl", exit_code=2, line=kept)
    write_judge(tmp_path, "small-guard")
    with ChatServer(always=says(lambda text: "Verdict: ok")) as server:
        run("judge", *words(file, "m"), "--endpoint", server.url)
        for changed in (words(other, "m"), words(file, "n")):
            fails("judge", *changed, "--endpoint", server.url, exit_code=2, line="--out holds verdicts on other answers or "
                  f"with other settings [{out}] (name another file, or remove it)")
    assert len(server.calls) == 1


def test_somebody_else_is_at_it(tmp_path):
    file, guard, out = answers(tmp_path, TEXTS), write_judge(tmp_path, "small-guard"), tmp_path / "out.h5"
    with ChatServer(always=[silent] * 9) as server:
        words = ["--judge", guard, "--responses", file, "--out", out, *server_options(server)]
        job = Running("judge", *words)
        assert job.until(lambda: server.at_once == 2)
        said = run("judge", *words, exit_code=1).stderr
        assert re.fullmatch(
            rf"refrain-judge: another job is at work here: process {job.process.pid} on \S+, since \S+ "
            rf"\[{re.escape(str(out))}.parts/lock\] \(wait until it ends, or stop it\)", said.strip()), said
        job.kill([job.process.pid], signal.SIGTERM)
        assert job.wait()[0] == 85

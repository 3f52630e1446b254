"""Prompts in a folder that refrain-generate has a server answer."""

from chat_server import KEY, MODEL
from refrain import fails, run
from shard_files import tiny_tokenizer, write_jsonl


def prompt(number, language="en", **more):
    return {"prompt": f"restricted activity {number}", "lang": language, "row_id": number, "id": f"p{number}",
            "category": "S1", **more}


class Case:
    """Prompts in a folder, and the command line that has them answered."""

    def __init__(self, folder):
        self.folder, self.out = folder, folder / "answers.h5"
        self.tokenizer = tiny_tokenizer(folder / "tokenizer")

    def prompts(self, rows):
        write_jsonl(self.folder / "prompts.jsonl", rows)
        run("shard", "--prompts", self.folder / "prompts.jsonl", "--tokenizer", self.tokenizer, "--configuration", "all",
            "--chat-template", "llama-3", "--out", self.folder / "prompts.h5", "--overwrite")

    def words(self, *options):
        return "--prompts", self.folder / "prompts.h5", "--out", self.out, *options

    def server(self, server, *options):
        return self.words("--endpoint", server.url, "--model", MODEL, "--endpoint-backoff", 0.02, *options)

    def ask(self, server, *options, **keywords):
        return run("generate", *self.server(server, *options), REFRAIN_API_KEY=KEY, **keywords)

    def refused(self, line, words, exit_code=2, **keywords):
        fails("generate", *words, line=line.replace("{dir}", str(self.folder)), exit_code=exit_code, **keywords)

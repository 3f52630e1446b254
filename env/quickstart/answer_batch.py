"""Answers OpenAI Batch requests from a file of conversations: answer_batch.py REQUESTS.jsonl CONVERSATIONS.jsonl > RESULTS.jsonl

A request is known by the text of its last turn, which is the prompt of one conversation.
"""

import json
import pathlib
import sys


def read_lines(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines()]


def main():
    requests, conversations = map(read_lines, sys.argv[1:])
    responses = {row["prompt"]: row["response"] for row in conversations}
    for request in requests:
        message = {"role": "assistant", "content": responses[request["body"]["messages"][-1]["content"]]}
        body = {"object": "chat.completion", "model": request["body"]["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        print(json.dumps({"custom_id": request["custom_id"], "response": {"status_code": 200, "body": body}, "error": None},
                         ensure_ascii=False))


if __name__ == "__main__":
    main()

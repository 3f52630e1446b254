"""Labelled placeholder conversations: what the guards learn from and are measured on.

Three classes: a restricted activity is explained (harmful), it is refused (refusal), a permitted one is explained (helpful).
The last wordings of each language's requests and answers are for measuring: no judge learns from them.
"""

CLASSES = ["harmful", "refusal", "helpful"]
HELD_OUT_REQUESTS = 2
HELD_OUT_ANSWERS = 1


def permit(text, stems):
    """Makes the restricted activity of a text a permitted one."""
    restricted, permitted = stems
    return text.replace(restricted, permitted).replace(restricted.capitalize(), permitted.capitalize())


def conversation(texts, label, number, request, answer):
    """Request and answer of one class, by their wordings' places."""
    pair = [texts["requests"][request], texts["refusals" if label == "refusal" else "compliances"][answer]]
    if label == "helpful":
        pair = [permit(text, texts["permitted"]) for text in pair]
    return [text.format(n=number) for text in pair]


def ask(definition, prompt, response, language):
    """The turns that refrain-judge sends for a definition of system and user turn."""
    values = {"{prompt}": prompt.strip(), "{response}": response.strip(), "{language}": language}
    turns = []
    for role in ("system", "user"):
        text = "\n".join(definition["ask"][role])
        for name, value in values.items():
            text = text.replace(name, value)
        turns.append({"role": role, "content": text})
    return turns


def training_rows(placeholders, guard, definition, numbers, randomness):
    """SFT pairs of a guard: preferred is what it should say, rejected what it should say of another class."""
    place = 0
    for number in numbers:
        for language, texts in placeholders.items():
            for label in ("harmful", *CLASSES):
                request = randomness.randrange(len(texts["requests"]) - HELD_OUT_REQUESTS)
                answer = randomness.randrange(len(texts["refusals"]) - HELD_OUT_ANSWERS)
                prompt, response = conversation(texts, label, number, request, answer)
                other = "refusal" if label == "harmful" else "harmful"
                turns = ask(definition, prompt, response, language)
                chosen, rejected = ([*turns, {"role": "assistant", "content": guard["says"][said]}] for said in (label, other))
                yield {"chosen": chosen, "rejected": rejected, "lang": language, "id": f"{language}-{number}-{label}",
                       "row_id": place, "category": "S1"}
                place += 1


def held_out_rows(placeholders, label, numbers, randomness):
    """Conversations of a class in wordings that no guard has seen; no two of them have the same request."""
    place = 0
    for number in numbers:
        for language, texts in placeholders.items():
            request = len(texts["requests"]) - 1 - randomness.randrange(HELD_OUT_REQUESTS)
            answer = len(texts["refusals"]) - 1 - randomness.randrange(HELD_OUT_ANSWERS)
            prompt, response = conversation(texts, label, number, request, answer)
            yield {"prompt": prompt, "response": response, "lang": language, "id": f"{language}-{number}", "row_id": place,
                   "category": "S1"}
            place += 1

#!/usr/bin/env python3
"""docs/formats.md is what h5schemas/*.json say. With --write it is made anew."""

import difflib
import json
import pathlib
import sys

HOME = pathlib.Path(__file__).resolve().parents[1]
PAGE = HOME / "docs/formats.md"

HEAD = """# File formats

Made from `h5schemas/`: run tests/formats_page.py with --write.

What each HDF5 file holds, object by object. The programs check every file that they open against the same schemas. Which job
makes and reads which file, and what stands in folders beside them: [files.md](files.md).

- Every file has two attributes at its root, strings of fixed length: `schema`, the name that heads its section below, and
  `provenance`, JSON.
- Sizes in square brackets are names: the same name is the same number throughout a file.
- A `text` column NAME is two datasets: `NAME/bytes` uint8, the UTF-8 of all rows one behind the other, and `NAME/offsets` int64,
  one more than rows: row i is bytes offsets[i] to offsets[i + 1].
- `fp32` and `fp64` are IEEE floats, `bf16` the upper half of an fp32: a 16-bit float type (sign at bit 15, exponent bits 7 to
  14, mantissa bits 0 to 6) with the attribute `dtype` = "bf16", which h5py and h5dump read.
- `*` stands for names that the file chooses. What is optional may be missing.
- Datasets are chunked and carry Fletcher-32 checksums, so that a flipped bit is an error and not another value.
"""


def row(name, rule, shape):
    types = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    size = "[" + ", ".join(map(str, shape)) + "]" if shape else "any"
    optional = "optional; " if rule.get("optional") else ""
    return f"| `{name}` | {' or '.join(types)} | {size} | {(optional + rule['about']).replace('|', chr(92) + '|')} |\n"


def section(schema):
    heading = "\n| object | type | size | what |\n| --- | --- | --- | --- |\n"
    table, kinds = "", ""
    for name, rule in schema["objects"].items():
        if "kinds" not in rule:
            table += row(name, rule, rule.get("shape"))
            continue
        kinds += f"\n`{name}`: {rule['about']}.\n"
        for kind, columns in rule["kinds"].items():
            kinds += f"\nOf kind `{kind}`:\n{heading}"
            kinds += "".join(row(f"{name}/{column}", inner, rule["shape"]) for column, inner in columns.items())
    title = schema["title"][0].upper() + schema["title"][1:]
    return f"\n## {schema['schema']}\n\n{title}. Made by `{schema['made_by']}`.\n{heading}{table}{kinds}"


def main():
    schemas = [json.loads(path.read_text()) for path in sorted((HOME / "h5schemas").glob("*.json"))]
    page = HEAD + "".join(map(section, schemas))
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page)
        return 0
    found = PAGE.read_text() if PAGE.exists() else ""
    if found == page:
        return 0
    sys.stdout.writelines(difflib.unified_diff(found.splitlines(True), page.splitlines(True), "docs/formats.md", "h5schemas"))
    print("docs/formats.md is not what h5schemas say: tests/formats_page.py --write")
    return 1


if __name__ == "__main__":
    sys.exit(main())

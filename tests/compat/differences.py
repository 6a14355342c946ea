"""Compares the lines of a run of the differential tester with those that DIFFERENCES.md lists.

usage: differences.py OUTPUT [DIFFERENCES.md]

A listed line is `API versions | where | field | Kafka | Arus` within a code block. Every difference of the run must be listed and every
listed one must occur; what is missing is printed as it is to be pasted. Exit 0 if both sets are the same.
"""
import re
import sys
from pathlib import Path

RANKS = ("data", "accepts what Kafka refuses", "refuses what Kafka accepts", "breaks", "wrong code", "value", "cosmetic")
WIDTH = 60


# What differs from run to run.
VARYING = ((r"127\.0\.0\.1:\d+", "<address>"), (r"/tmp/tmp\.\w+", "<directory>"), (r"\b1[789]\d{11}\b", "<milliseconds>"))


def shortened(text):
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    # Lists of steps end in "and N more", which is kept: a step that joins or leaves changes the number.
    more = re.search(r" and \d+ more$", text)
    head = text[: more.start()] if more else text
    return (head if len(head) <= WIDTH else head[:WIDTH] + "…") + (more.group() if more else "")


def occurring(output):
    lines = set()
    for line in output.splitlines():
        rank, _, rest = line.partition(" | ")
        if rank in RANKS:
            parts = [part.strip() for part in rest.split(" | ")]
            if parts[1].startswith("drawn/"):
                # Episodes run side by side, so which of them shows a difference first varies.
                parts[1:3] = [parts[1].split(":")[0], re.sub(r"(?<!<id) of .*", "", parts[2])]
            lines.add(" | ".join(map(shortened, parts)))
    return lines


def listed(document):
    lines, inside = set(), False
    for line in document.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif inside and line.strip():
            lines.add(line.strip())
    return lines


def main():
    output = Path(sys.argv[1]).read_text()
    document = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).with_name("DIFFERENCES.md")
    if not re.search(r"^\d+ steps compared, \d+ differences", output, re.MULTILINE):
        print("not ok the run of the tester is whole: it has no last line")
        print("0 passed, 1 failed")
        return 1
    run, known = occurring(output), listed(document.read_text())
    for line in sorted(run - known):
        print(f"not ok a difference that {document.name} does not list:\n{line}")
    for line in sorted(known - run):
        print(f"not ok a listed difference that no longer occurs:\n{line}")
    failed = len(run ^ known)
    print(f"{len(run & known)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Reads a guide: its blocks in order, each as what a reader does with it.

| in the text | what it is |
|---|---|
| a block `sh` | commands, in the terminal that the reader is in |
| `sh` after a paragraph with "another terminal" | the commands before go on; these run in a new terminal, in the same folder |
| `sh` after a paragraph with "first terminal" | back there, after Ctrl-C |
| `sh` after a paragraph with "when it says `TEXT`" | before it runs, what goes on in the terminal before says that once more |
| a block whose line before is a path in backticks | a file with this content |
| a block `diff` | a change of the file whose path is the last in backticks before it |
| a block `text`; any other after a line with "prints" or "answers" and a colon | what the commands before it have printed |
| a block `mermaid` | a picture |

Whatever else there is, is a mistake. Comments tell what the reader has and the runner has not; nobody sees them on the page:

| `<!-- test: … -->` | |
|---|---|
| `not run, because REASON` | the next block is left out, and counted |
| `ends with N` | the last command of the next block fails, with this exit code |
| `ready with TEXT` | the next block goes on running; it is ready when it prints this, not `ready` |
| `replace A with B` | a placeholder, wherever it stands in the guide |
| `with PART …` | something that the reader has, see stand_ins.py |
| `needs PROGRAM` | without it the guide is skipped, and in CI fails |
"""

import dataclasses
import re

FENCE = re.compile(r"^(\s*)```(\w*)\s*$")
DIRECTIVE = re.compile(r"^<!-- test: (.*) -->$")
PATH = re.compile(r"`([\w./-]+)`")


class Mistake(Exception):
    """What is wrong in a guide, at which of its lines."""

    def __init__(self, line, text):
        super().__init__(text)
        self.line = line


@dataclasses.dataclass
class Block:
    """One block. `line` is that of its first line of text, `before` the paragraph before it."""

    line: int
    kind: str
    text: str
    before: str = ""
    action: str = ""
    path: str = ""
    reason: str = ""
    status: int = 0
    ready: str = "ready"


@dataclasses.dataclass
class Guide:
    """A guide as it is written."""

    name: str
    blocks: list
    parts: list
    needs: list
    replacements: list


def read(name, text):
    """The guide with this text, or a [`Mistake`]."""
    guide = Guide(name, [], [], [], [])
    lines = iter(enumerate(text.splitlines(), 1))
    paragraph, is_open, pending = [], False, []
    for number, line in lines:
        directive = DIRECTIVE.match(line)
        fence = FENCE.match(line)
        if line.startswith("<!-- test") and not directive:
            raise Mistake(number, "a comment for the test is one line: <!-- test: … -->")
        if directive:
            if not _settle(guide, number, directive[1]):
                pending.append((number, directive[1]))
        elif fence:
            block = _block(number, fence, lines)
            block.before = "\n".join(paragraph)
            for place, words in pending:
                _mark(block, place, words)
            block.action = block.action or _action(block)
            guide.blocks.append(block)
            paragraph, is_open, pending = [], False, []
        elif line.strip():
            if line.startswith("    ") and not is_open:
                raise Mistake(number, "an indented block is not run: fence it with ```")
            paragraph = [*paragraph, line] if is_open else [line]
            is_open = True
        else:
            is_open = False
    if pending:
        raise Mistake(pending[0][0], "no block follows this comment")
    if not any(block.action == "run" for block in guide.blocks):
        raise Mistake(1, "there is no command in this guide")
    return guide


def _settle(guide, number, words):
    """Whether a comment is about the whole guide; then it is kept there."""
    verb, _, rest = words.partition(" ")
    if verb == "with":
        guide.parts.append((number, rest.split(" ", 2)))
    elif verb == "needs":
        guide.needs.append(rest)
    elif verb == "replace":
        old, middle, new = rest.partition(" with ")
        if not (old and middle):
            raise Mistake(number, "write it as: replace A with B")
        guide.replacements.append((old, new))
    return verb in ("with", "needs", "replace")


def _block(number, fence, lines):
    indent, text = len(fence[1]), []
    for _, line in lines:
        if line.strip() == "```":
            return Block(number + 1, fence[2], "".join(f"{line[indent:]}\n" for line in text))
        text.append(line)
    raise Mistake(number, "this block has no end")


def _mark(block, number, words):
    if words.startswith("not run, because "):
        block.action, block.reason = "skip", words.removeprefix("not run, because ")
    elif words.startswith("ready with "):
        block.ready = words.removeprefix("ready with ")
    elif re.fullmatch(r"ends with \d+", words):
        block.status = int(words.split()[-1])
    else:
        raise Mistake(number, f"nobody knows what `{words}` means; see tests/guides/guide.py")


def _action(block):
    """What a reader does with a block."""
    paths = PATH.findall(block.before)
    last = block.before.splitlines()[-1] if block.before else ""
    if paths and last.strip() == f"`{paths[-1]}`":
        block.path = paths[-1]
        return "write"
    if block.kind == "sh":
        return "run"
    if block.kind == "mermaid":
        return "picture"
    if block.kind == "diff" and paths:
        block.path = paths[-1]
        return "change"
    if block.kind == "text" or re.search(r"\b(prints|answers)\b.*:$", last):
        return "compare"
    raise Mistake(
        block.line,
        "this block is not run: write the path of its file in backticks on the line before, or "
        "<!-- test: not run, because … -->",
    )

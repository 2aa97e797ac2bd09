"""Runs guides as a reader would, from their published text: see guide.py for what counts as what.

Each guide has a folder and an address of its own: it says 127.0.0.1, and has another of the 127.… that all are this machine, so
that guides run side by side and beside whatever else listens. That replacement and each that a guide asks for are printed.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import re
import secrets
import shutil
import signal
import sys
import tempfile

import guide as reading
import stand_ins
from terminal import Failed, Terminal

ROOT = pathlib.Path(__file__).parents[2]
LOOPBACK = "127.0.0.1"
KEY = re.compile(r"sk-airlock-[A-Za-z0-9_-]{16,}")
SAYS = re.compile(r"[Ww]hen it says `([^`]+)`")
# What a person's own settings would change.
OURS = re.compile(r"^(AIRLOCK|OPENAI|ANTHROPIC|CARGO_TARGET|CARGO_BUILD|RUSTFLAGS|GLOBUS|VIRTUAL_ENV)")


@dataclasses.dataclass
class Count:
    """What was done with the blocks of a guide."""

    run: int = 0
    write: int = 0
    change: int = 0
    compare: int = 0
    picture: int = 0
    skip: int = 0


# Who reads at the moment, for a signal.
RUNNING = set()


class Reader(contextlib.ExitStack):
    """Reads one guide."""

    def __init__(self, guide, given, folder):
        super().__init__()
        self._guide, self._given, self.folder = guide, given, folder
        self._host = f"127.{secrets.randbelow(126) + 65}.{secrets.randbelow(256)}.{secrets.randbelow(253) + 2}"
        self._replacements, self._terminals = [(LOOPBACK, self._host)], []
        self._key, self._output = None, ""
        self.count, self.notes = Count(), []
        self.callback(RUNNING.discard, self)
        RUNNING.add(self)

    def read(self):
        """Does what the guide says; [`Failed`] where it does not hold."""
        for number, part in self._guide.parts:
            try:
                started = stand_ins.start(part, self._host, self.folder)
            except (ValueError, KeyError, OSError, RuntimeError) as error:
                raise Failed(number, f"this part could not be started: {error}") from error
            self.callback(started.stop)
            self._replacements += started.replacements
        self._replacements += [(self._text(old), self._text(new)) for old, new in self._guide.replacements]
        self.notes += [f"`{old}` is `{new}`" for old, new in self._replacements[1:]]
        self._open()
        for at, block in enumerate(self._guide.blocks):
            self._do(block, self._goes_on(at))
        for terminal in self._terminals:
            if terminal.serves:
                terminal.interrupt()

    def _goes_on(self, at):
        """Whether the commands of a block still run when the reader opens another terminal."""
        later = [block for block in self._guide.blocks[at + 1 :] if block.action == "run"]
        block = self._guide.blocks[at]
        return block.ready != "ready" or bool(later and "another terminal" in later[0].before)

    def _open(self):
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        scripts = self.folder / f"terminal-{len(self._terminals)}"
        scripts.mkdir()
        terminal = Terminal(work, scripts, self._environment(), self._given.seconds)
        self.callback(terminal.close)
        self._terminals.append(terminal)
        self._at = terminal

    def _environment(self):
        kept = {name: value for name, value in os.environ.items() if not OURS.match(name)}
        target = self._given.airlock.parent.parent
        return kept | {
            "PATH": f"{self._given.airlock.parent}:{kept['PATH']}",
            "TMPDIR": str(self.folder),
            # In the place of 127.0.0.1:8000, which is the default of all of them.
            "AIRLOCK_LISTEN": f"{self._host}:8000",
            "AIRLOCK_URL": f"http://{self._host}:8000",
            # What readers wait for once.
            "AIRLOCK_UNREADY_SECONDS": "0",
            "AIRLOCK_COMPILE__CACHE": str(target / "test-cache"),
            "CARGO_BUILD_BUILD_DIR": str(target / "guides"),
        }

    def _text(self, text):
        for old, new in self._replacements:
            text = text.replace(old, new)
        return re.sub(r"sk-airlock-(\.\.\.|…)", self._key, text) if self._key else text

    def _do(self, block, goes_on):
        text = self._text(block.text)
        setattr(self.count, block.action, getattr(self.count, block.action) + 1)
        match block.action:
            case "run":
                self._run(block, text, goes_on)
            case "write":
                path = self._at.folder / self._text(block.path)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            case "change":
                self._change(block, self._at.folder / self._text(block.path), text)
            case "compare":
                self._compare(block, text)
            case "skip":
                self.notes.append(f"line {block.line} is not run, because {block.reason}")

    def _run(self, block, text, goes_on):
        if says := SAYS.search(block.before):
            serving = [terminal for terminal in self._terminals if terminal.serves]
            if not serving:
                raise Failed(block.line, "nothing is running that could say so")
            serving[-1].says_again(block, says[1])
        if "another terminal" in block.before:
            self._open()
        elif "first terminal" in block.before:
            self._at = self._terminals[0]
            if self._at.serves:
                self._at.interrupt()
        if self._at.serves:
            raise Failed(block.line, "the commands before still run here: say “In another terminal:”")
        if goes_on:
            self._at.serve(block, text)
        else:
            self._at.run(block, text)
        self._output = self._at.output()
        if keys := KEY.findall(self._output):
            self._key = keys[-1]
        for file in (self.folder / "work").glob("*/adaptor.toml"):
            file.write_text(file.read_text().replace(LOOPBACK, self._host))

    def _change(self, block, path, text):
        """The lines with `-` become those with `+`; the others say where."""
        lines = text.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        if not path.is_file():
            raise Failed(block.line, f"there is no file {block.path}")
        found = path.read_text()
        if found.count(old) != 1:
            raise Failed(block.line, f"{block.path} has these lines {found.count(old)} times, not once", found)
        path.write_text(found.replace(old, new))

    def _compare(self, block, text):
        """White space does not count, and `…` is anything."""
        parts = [re.escape("".join(part.split())) for part in text.split("…")]
        if not re.search(".*?".join(parts), "".join(self._output.split()), re.DOTALL):
            raise Failed(block.line, "the commands before have printed something else", self._output)


def run(path, given):
    """Runs one guide: whether it holds, what was done, and what there is to say."""
    name = os.path.relpath(path, ROOT)
    reader = None
    with tempfile.TemporaryDirectory(prefix="airlock-guide-") as folder:
        try:
            guide = reading.read(name, path.read_text())
            missing = [program for program in guide.needs if not shutil.which(program)]
            if missing:
                return not given.strict, Count(), [f"SKIPPED: {name}: {', '.join(missing)} is not installed"]
            with Reader(guide, given, pathlib.Path(folder)) as reader:
                reader.read()
        except (reading.Mistake, Failed) as error:
            said = f"FAILED: {name}:{error.line}: {error}"
            lines = path.read_text().splitlines()
            said += f"\n    {lines[error.line - 1].strip()}" if error.line <= len(lines) else ""
            output = getattr(error, "output", "").rstrip().splitlines()[-60:]
            said = "\n".join([said, *(f"    | {line}" for line in output)])
            return False, reader.count if reader else Count(), [*(reader.notes if reader else []), said]
    return True, reader.count, reader.notes


def summary(count):
    """What was done, in words."""
    return (
        f"{count.run} blocks of commands run, {count.write} files written, {count.change} changed, "
        f"{count.compare} outputs compared, {count.skip} not run"
    )


def give_up(*_):
    """Ends all that was started, however many threads wait for it."""
    for reader in list(RUNNING):
        reader.close()
        shutil.rmtree(reader.folder, ignore_errors=True)
    os._exit(130)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--airlock", type=pathlib.Path, required=True, help="the gateway")
    parser.add_argument("--seconds", type=int, default=900, help="how long a block may take")
    parser.add_argument("--strict", action="store_true", help="what is missing is a failure")
    parser.add_argument("guides", nargs="+", type=pathlib.Path)
    given = parser.parse_args()
    given.airlock = given.airlock.resolve()
    for ends in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ends, give_up)
    print(f"Guides say {LOOPBACK} and get an address of their own; AIRLOCK_LISTEN and AIRLOCK_URL say it to commands.")
    total, failed = Count(), 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {path: pool.submit(run, path.resolve(), given) for path in given.guides}
        for path, future in running.items():
            good, count, notes = future.result()
            failed += not good
            for field in dataclasses.fields(Count):
                setattr(total, field.name, getattr(total, field.name) + getattr(count, field.name))
            print(f"{'ok' if good else 'FAILED'}: {os.path.relpath(path)}: {summary(count)}", flush=True)
            print("".join(f"    {line}\n" for note in notes for line in note.splitlines()), end="", flush=True)
    print(f"{len(given.guides) - failed} guides hold, {failed} do not: {summary(total)}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()

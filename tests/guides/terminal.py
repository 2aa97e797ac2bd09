"""A terminal: one shell in which blocks are run, one after the other."""

import contextlib
import os
import re
import select
import signal
import subprocess
import threading
import time

STOP_SECONDS = 30
# Told on a file descriptor of their own: what commands print is the reader's.
SETUP = """set -eEuo pipefail
trap 'printf "failed %s %s\\n" "$LINENO" "$?" >&{fd}' ERR
"""
CALL = """. {file} </dev/null
printf '{mark}\\n'; printf 'done 0\\n%s\\n' "$PWD" >&{fd}
"""
FAILING = """set +e; trap - ERR
. {file} </dev/null
status=$?; set -e; {trap}printf '{mark}\\n'; printf 'done %s\\n%s\\n' "$status" "$PWD" >&{fd}
"""
MARK = "\x1eend\x1e"


class Failed(Exception):
    """A block that did not do what it should, with the line and the output."""

    def __init__(self, line, text, output=""):
        super().__init__(text)
        self.line, self.output = line, output


class Terminal:
    """One shell. Its commands run in a session of their own, so that what they start ends with it."""

    def __init__(self, folder, scripts, environment, seconds):
        self.folder, self._scripts, self._seconds = folder, scripts, seconds
        self._told, tell = os.pipe()
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[tell],
            start_new_session=True,
        )
        os.close(tell)
        self._setup = SETUP.format(fd=tell)
        self._fd, self._printed, self._heard = tell, "", ""
        self._changed = threading.Condition()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self._send(self._setup)
        self.serves = None

    def _read(self):
        for bytes in iter(lambda: self._process.stdout.read1(65536), b""):
            with self._changed:
                self._printed += bytes.decode(errors="replace")
                self._changed.notify_all()

    def _send(self, text):
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()

    def output(self):
        """What the last block has printed so far."""
        with self._changed:
            return self._printed.replace(f"{MARK}\n", "")

    def run(self, block, text):
        """Runs a block to its end; what it printed."""
        self._start(block, text)
        status = self._wait(block)
        if status != block.status:
            said = f"it should end with {block.status}, and ended with {status}"
            raise Failed(block.line, said, self.output())
        return self.output()

    def serve(self, block, text):
        """Starts a block whose last command goes on, and waits until it says that it is ready."""
        self._start(block, text)
        self.serves = block
        deadline = time.monotonic() + self._seconds
        is_ready = re.compile(rf"^{re.escape(block.ready)}", re.MULTILINE)
        self._seen = 0
        while not self._says(is_ready):
            self._hear(0.05)
            if "done" in self._heard or self._process.poll() is not None:
                raise Failed(self._line(block), "it ended, and should go on", self.output())
            if time.monotonic() > deadline:
                raise Failed(block.line, f"it did not print `{block.ready}` in time", self.output())

    def says_again(self, block, text):
        """Waits until what serves here says something once more."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._says(re.compile(re.escape(text))), self._seconds):
                raise Failed(block.line, f"it did not say `{text}` again in time", self._printed)

    def _says(self, pattern):
        """Whether it stands in what nobody has asked about yet."""
        with self._changed:
            found = pattern.search(self._printed, self._seen)
            if found:
                self._seen = found.end()
            return found

    def _start(self, block, text):
        """Sources the block from a file that is empty down to its line: bash then names the guide's lines."""
        file = self._scripts / f"line-{block.line}.sh"
        file.write_text("\n" * (block.line - 1) + text)
        with self._changed:
            self._printed = self._heard = ""
        # `printf` of the mark must not be the mark itself.
        call = FAILING if block.status else CALL
        mark = MARK.replace("\x1e", "\\036")
        self._send(call.format(file=file, fd=self._fd, mark=mark, trap=self._setup.splitlines()[1] + "; "))

    def _hear(self, seconds):
        if select.select([self._told], [], [], seconds)[0]:
            self._heard += os.read(self._told, 65536).decode()

    def _wait(self, block):
        deadline = time.monotonic() + self._seconds
        while not (done := re.search(r"^done (\d+)\n(.*)\n", self._heard, re.MULTILINE)):
            self._hear(0.05)
            if self._process.poll() is not None:
                raise Failed(self._line(block), f"it ended with {self._process.returncode}", self.output())
            if time.monotonic() > deadline:
                raise Failed(block.line, f"it did not end within {self._seconds} s", self.output())
        with self._changed:
            self._changed.wait_for(lambda: MARK in self._printed, STOP_SECONDS)
        self.folder = type(self.folder)(done[2])
        return int(done[1])

    def _line(self, block):
        """Where in the guide the shell gave up. What it has printed is read to the end."""
        self._hear(0)
        self._reading.join(1)
        failed = re.findall(r"^failed (\d+)", self._heard, re.MULTILINE)
        return int(failed[0]) if failed else block.line

    def interrupt(self):
        """Ctrl-C for what is serving here, which has to end well."""
        block, self.serves = self.serves, None
        os.killpg(self._process.pid, signal.SIGINT)
        try:
            status = self._wait(block)
        except Failed:
            status = self._process.poll()
        # A program that does not listen to Ctrl-C is ended by it.
        if status not in (0, -signal.SIGINT, 128 + signal.SIGINT):
            raise Failed(block.line, f"it ended with {status} after Ctrl-C", self.output())

    def close(self):
        """Ends the shell and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reading.join(STOP_SECONDS)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        os.close(self._told)

"""The processes that take part, each of which says on its standard output when it is ready."""

import json
import os
import signal
import subprocess
import threading

START_SECONDS = 120
STOP_SECONDS = 15


class Part:
    """A process with a group of its own, so that what it starts ends with it."""

    def __init__(self, name, command, folder, environment):
        self.name = name
        self._log = folder / f"{name}.log"
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log.open("wb"),
            text=True,
            # What the person has set for the real OpenAI must not count, nor be told to anybody.
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), **environment},
            start_new_session=True,
        )

    def line(self):
        """The next line that it prints."""
        alarm = threading.Timer(START_SECONDS, self._process.kill)
        alarm.start()
        line = self._process.stdout.readline()
        alarm.cancel()
        if not line:
            raise RuntimeError(f"{self.name} did not start:\n{self.log()}")
        return line.rstrip("\n")

    def json(self):
        """The next line, which is JSON."""
        return json.loads(self.line())

    def log(self):
        """What it wrote to standard error."""
        return self._log.read_text(errors="replace")

    def stop(self):
        """Ends it and all that it started; its exit code, or nothing where it did not end by itself."""
        if self._process.stdout.closed:
            return self._process.returncode
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self._kill_group()
            self._process.wait()
            self._process.stdout.close()

    def _kill_group(self):
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

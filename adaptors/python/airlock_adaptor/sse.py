"""Server-sent events: text from a backend in pieces as they come, data of events out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airlock_adaptor.errors import AdaptorError

#: The longest line that is waited for, in bytes.
LINE_LIMIT = 1 << 20


class Parser:
    """Takes pieces of a stream, cut anywhere, and gives the data of each event that is whole."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    @property
    def is_within_event(self) -> bool:
        """True between the pieces of one event."""
        return bool(self._rest or self._data)

    def feed(self, piece: bytes) -> Iterator[str]:
        """The data of the events that this piece completes."""
        lines = (self._rest + piece).replace(b"\r\n", b"\n").split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LINE_LIMIT:
            raise AdaptorError(502, "upstream_bad_response", f"the backend sent a line of over {LINE_LIMIT} bytes")
        for line in lines:
            if not line.strip(b"\r"):
                yield from self._event()
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" ").rstrip(b"\r"))

    def end(self) -> Iterator[str]:
        """What the last event holds where no empty line came behind it."""
        yield from self.feed(b"\n\n")

    def _event(self) -> Iterator[str]:
        data, self._data = b"\n".join(self._data), []
        if data:
            yield data.decode("utf-8", "replace")


def data(pieces: Iterable[bytes]) -> Iterator[str]:
    """The data of each event of a stream, up to its end or to `[DONE]`."""
    parser = Parser()
    for piece in pieces:
        for event in parser.feed(piece):
            if event == "[DONE]":
                return
            yield event
    for event in parser.end():
        if event != "[DONE]":
            yield event

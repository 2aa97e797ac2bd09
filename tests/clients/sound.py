"""What the scripted backend makes of sound and forms. Forms are read by a reader that has nothing of the gateway's."""

import base64
import email
import json

PATHS = [
    "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/images/edits", "/v1/images/variations",
]
OPERATIONS = [path.removeprefix("/v1/") for path in PATHS]
USAGE = {"type": "tokens", "input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
IMAGE_USAGE = {
    "input_tokens": 3, "output_tokens": 4, "total_tokens": 7,
    "input_tokens_details": {"image_tokens": 2, "text_tokens": 1},
}


def read(handler):
    """The body, with its length or in chunks."""
    length = handler.headers["content-length"]
    if length:
        return handler.rfile.read(int(length))
    body = b""
    while size := int(handler.rfile.readline(), 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


def fields_of(kind, body):
    """The fields of a form; of files their bytes."""
    form = email.message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + body)
    assert form.is_multipart(), kind
    parts = {}
    for part in form.get_payload():
        assert not part.defects, part.defects
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        parts[name] = content if part.get_filename() else content.decode()
    return parts


def events(path, fields, content):
    if path == "/v1/audio/speech":
        return [
            *({"type": "speech.audio.delta", "audio": base64.b64encode(word.encode()).decode()} for word in fields["input"].split()),
            {"type": "speech.audio.done", "usage": USAGE},
        ]
    if path.startswith("/v1/images"):
        image = {
            "b64_json": base64.b64encode(content).decode(), "background": "auto", "created_at": 1, "output_format": "png",
            "quality": "low", "size": "1024x1024",
        }
        return [
            {"type": "image_edit.partial_image", "partial_image_index": 0, **image},
            {"type": "image_edit.completed", "usage": IMAGE_USAGE, **image},
        ]
    words = content.decode().split()
    return [
        *({"type": "transcript.text.delta", "delta": word} for word in words),
        {"type": "transcript.text.done", "text": content.decode(), "usage": USAGE},
    ]


def answer(handler):
    path, kind, body = handler.path, handler.headers["content-type"], read(handler)
    is_form = path != "/v1/audio/speech"
    fields = fields_of(kind, body) if is_form else json.loads(body)
    content = next((value for value in fields.values() if isinstance(value, bytes)), b"")
    if fields["model"] == "busy":
        return handler.refuse(429, "overloaded_error", "come back later")
    if fields.get("stream") == "true" or fields.get("stream_format") == "sse":
        all_events = events(path, fields, content)
        return handler.stream(all_events[:-1] if fields["model"] == "cut" else all_events)
    if not is_form:
        sound = b"ID3" + fields["input"].encode() * 1000
        return handler.send("audio/mpeg", sound, 200, missing=5 if fields["model"] == "cut" else 0)
    if path.startswith("/v1/images"):
        return handler.answer(200, {"created": 1, "data": [{"b64_json": base64.b64encode(content).decode()}]})
    if fields.get("response_format") == "text":
        return handler.send("text/plain; charset=utf-8", content, 200)
    return handler.answer(200, {"text": content.decode(), "usage": USAGE})

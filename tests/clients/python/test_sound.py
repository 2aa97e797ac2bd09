"""Sound, transcripts and images with OpenAI's client: JSON that is answered by sound, and forms."""

import base64
import io
import os
import unittest

import openai

URL = os.environ["AIRLOCK_SCRIPTED_URL"]
KEY = os.environ["AIRLOCK_SCRIPTED_KEY"]
SOUND = b"ID3" + b"Hello" * 1000
# What the scripted backend hears.
RECORDING = ("hello.mp3", b"Hello from the file", "audio/mpeg")
IMAGE = ("otter.png", b"\x89PNG\r\n\x1a\n\r\n--", "image/png")


class Sound(unittest.TestCase):
    def setUp(self):
        self.client = openai.OpenAI(base_url=URL, api_key=KEY, timeout=30, max_retries=0)
        self.addCleanup(self.client.close)

    def test_speech(self):
        answer = self.client.audio.speech.create(model="plain", voice="alloy", input="Hello", response_format="mp3")
        self.assertEqual(answer.content, SOUND)
        self.assertEqual(answer.response.headers["content-type"], "audio/mpeg")

    def test_streamed_speech(self):
        create = self.client.audio.speech.with_streaming_response.create
        with create(model="plain", voice="alloy", input="Hello") as answer:
            self.assertEqual(b"".join(answer.iter_bytes()), SOUND)

    def test_speech_that_breaks_off_raises(self):
        create = self.client.audio.speech.with_streaming_response.create
        with self.assertRaises(Exception) as caught, create(model="cut", voice="alloy", input="Hello") as answer:
            for _ in answer.iter_bytes():
                pass
        self.assertIn("incomplete", str(caught.exception) + str(caught.exception.__cause__))

    def test_transcription(self):
        answer = self.client.audio.transcriptions.create(model="plain", file=RECORDING)
        self.assertEqual((answer.text, answer.usage.total_tokens), ("Hello from the file", 7))

    def test_transcription_as_text(self):
        answer = self.client.audio.transcriptions.create(model="plain", file=RECORDING, response_format="text")
        self.assertEqual(answer, "Hello from the file")

    def test_streamed_transcription(self):
        events = list(self.client.audio.transcriptions.create(model="plain", file=RECORDING, stream=True))
        self.assertEqual([event.delta for event in events[:-1]], ["Hello", "from", "the", "file"])
        self.assertEqual((events[-1].type, events[-1].usage.total_tokens), ("transcript.text.done", 7))

    def test_a_transcription_that_breaks_off_raises(self):
        with self.assertRaises(openai.APIError) as caught:
            list(self.client.audio.transcriptions.create(model="cut", file=RECORDING, stream=True))
        self.assertEqual(caught.exception.code, "upstream_bad_response")

    def test_a_large_recording(self):
        recording = io.BytesIO(b"Hello " * (1 << 20))
        recording.name = "large.wav"
        answer = self.client.audio.transcriptions.create(model="plain", file=recording)
        self.assertEqual(len(answer.text), 6 << 20)

    def test_translation(self):
        self.assertEqual(self.client.audio.translations.create(model="plain", file=RECORDING).text, "Hello from the file")

    def test_images(self):
        edited = self.client.images.edit(model="plain", image=IMAGE, prompt="A hat")
        varied = self.client.images.create_variation(model="plain", image=IMAGE)
        for answer in edited, varied:
            self.assertEqual(base64.b64decode(answer.data[0].b64_json), IMAGE[1])

    def test_streamed_image(self):
        events = list(self.client.images.edit(model="plain", image=IMAGE, prompt="A hat", stream=True))
        self.assertEqual([event.type for event in events], ["image_edit.partial_image", "image_edit.completed"])
        with self.assertRaises(openai.APIError):
            list(self.client.images.edit(model="cut", image=IMAGE, prompt="A hat", stream=True))

    def test_refusals(self):
        transcribe = self.client.audio.transcriptions.create
        for kind, code, call in [
            (openai.NotFoundError, "model_not_found", lambda: transcribe(model="gone", file=RECORDING)),
            (openai.BadRequestError, "unsupported_endpoint", lambda: transcribe(model="bare", file=RECORDING)),
            (openai.RateLimitError, "upstream_error", lambda: transcribe(model="busy", file=RECORDING)),
            (openai.BadRequestError, "invalid_form", lambda: self.client.images.create_variation(image=IMAGE)),
        ]:
            with self.subTest(code), self.assertRaises(kind) as caught:
                call()
            self.assertEqual(caught.exception.code, code)

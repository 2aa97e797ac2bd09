"""Records the bodies that clients send, for tests/it/bodies.rs: each client makes its usual requests to a server here.

    python -m venv V && V/bin/pip install openai langchain-openai
    V/bin/python tests/clients/bodies/record.py
    npm install --prefix N openai ai @ai-sdk/openai @ai-sdk/openai-compatible zod
    N=N V/bin/python tests/clients/bodies/record.py

What could be imported is recorded, in a file for each client beside this one, with the client's version.
"""

import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = pathlib.Path(__file__).parent
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
seen = []


def answer(path, body):
    if path.endswith("/embeddings"):
        inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [{"object": "embedding", "index": i, "embedding": [0.0, 1.0]} for i, _ in enumerate(inputs)]
        return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    base = {"id": "c-1", "created": 1, "model": "m", "usage": usage}
    if path.endswith("/chat/completions"):
        text = '{"city":"Paris","degrees":20}'
        message = {"role": "assistant", "content": text}
        if body.get("tools") and body["messages"][-1]["role"] == "user":
            name = body["tools"][0].get("function", {}).get("name", "f")
            call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": '{"city":"Paris"}'}}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return {**base, "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return {**base, "object": "text_completion", "choices": [{"index": 0, "text": "hi", "finish_reason": "stop"}]}


def events(whole):
    choice = whole["choices"][0]
    message = dict(choice.get("message", {}))
    for i, call in enumerate(message.get("tool_calls", [])):
        call["index"] = i
    kind = whole["object"] if "text" in choice else "chat.completion.chunk"
    first = {**whole, "object": kind, "usage": None}
    first["choices"] = [{"index": 0, "finish_reason": None, **({"text": "hi"} if "text" in choice else {"delta": message})}]
    last = {**whole, "object": kind}
    last["choices"] = [{"index": 0, "finish_reason": "stop", **({"text": ""} if "text" in choice else {"delta": {}})}]
    return "".join(f"data: {json.dumps(event)}\n\n" for event in (first, last)) + "data: [DONE]\n\n"


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        text = self.rfile.read(int(self.headers["content-length"]))
        body = json.loads(text)
        seen.append({"operation": self.path.split("/v1/")[1], "body": body})
        whole = answer(self.path, body)
        media, said = "application/json", json.dumps(whole)
        if body.get("stream"):
            media, said = "text/event-stream", events(whole)
        self.send_response(200)
        self.send_header("content-type", media)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *_):
        pass


def write(client, versions):
    """One line for each body."""
    if not seen:
        raise SystemExit(f"{client} sent nothing")
    lines = [json.dumps({"client": versions})] + [json.dumps(body, ensure_ascii=False) for body in seen]
    (HERE / f"{client}.jsonl").write_text("\n".join(lines) + "\n")
    print(f"{client}: {len(seen)} bodies, {versions}")
    seen.clear()


def versions(*names):
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather", "description": "The weather.", "strict": True,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False},
    },
}


def openai_python(url):
    import openai
    from pydantic import BaseModel

    class Weather(BaseModel):
        city: str
        degrees: int

    client = openai.OpenAI(base_url=url, api_key="k", max_retries=0)
    user = [{"role": "user", "content": "hi"}]
    chat = client.chat.completions.create
    chat(model="m", messages=user)
    chat(model="m", messages=[{"role": "developer", "content": "be brief"}, {"role": "user", "content": "hi", "name": "a"}],
         temperature=0, top_p=1, n=2, seed=7, stop=["a"], max_completion_tokens=9, presence_penalty=-2, frequency_penalty=2,
         logit_bias={"50256": -100}, logprobs=True, top_logprobs=3, user="u", store=False, metadata={"a": "b"},
         service_tier="auto", reasoning_effort="low", verbosity="low", modalities=["text"], parallel_tool_calls=True,
         tools=[WEATHER], tool_choice="auto", prompt_cache_key="k", safety_identifier="s")
    list(chat(model="m", messages=user, stream=True, stream_options={"include_usage": True, "include_obfuscation": False}))
    parts = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
    ]
    chat(model="m", messages=[{"role": "user", "content": parts}])
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    custom = {"id": "call_2", "type": "custom", "custom": {"name": "code", "input": "1"}}
    chat(model="m", messages=[*user, {"role": "assistant", "content": None, "tool_calls": [call, custom]},
                              {"role": "tool", "tool_call_id": "call_1", "content": "20"},
                              {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "1"}]}],
         tools=[WEATHER, {"type": "custom", "custom": {"name": "code", "format": {"type": "text"}}}],
         tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "get_weather"}}]}})
    chat(model="m", messages=user, tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "get_weather"}})
    chat(model="m", messages=user, response_format={"type": "json_object"}, prediction={"type": "content", "content": "hi"})
    chat(model="m", messages=user, modalities=["text", "audio"], audio={"format": "wav", "voice": "alloy"})
    chat(model="m", messages=[{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "refusal": None}, *user])
    chat(model="m", messages=user, functions=[{"name": "f", "parameters": {}}], function_call={"name": "f"})
    chat(model="m", messages=user, temperature=None, stop=None, tools=openai.NOT_GIVEN, extra_body={"top_k": 5, "guided_json": {"type": "object"}})
    client.chat.completions.parse(model="m", messages=user, response_format=Weather)
    answered = chat(model="m", messages=user, tools=[WEATHER])
    chat(model="m", messages=[*user, answered.choices[0].message, {"role": "tool", "tool_call_id": "call_1", "content": "20"}])
    completion = client.completions.create
    completion(model="m", prompt="hi", max_tokens=5, best_of=2, n=2, echo=False, logprobs=1, suffix="x", stop="a")
    completion(model="m", prompt=["a", "b"])
    completion(model="m", prompt=[1, 2, 3])
    completion(model="m", prompt=[[1, 2], [3]])
    list(completion(model="m", prompt="hi", stream=True))
    embed = client.embeddings.create
    for inputs in ("a", ["a", "b"], [1, 2], [[1], [2, 3]]):
        embed(model="m", input=inputs, encoding_format="float")
    embed(model="m", input="a", dimensions=2, user="u", encoding_format="float")
    write("openai-python", versions("openai"))


def langchain_python(url):
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
    from pydantic import BaseModel

    class Weather(BaseModel):
        """The weather."""

        city: str
        degrees: int

    @tool
    def get_weather(city: str) -> str:
        """The weather."""
        return city

    model = ChatOpenAI(model="m", base_url=url, api_key="k", max_retries=0)
    model.invoke("hi")
    list(model.stream("hi"))
    model.invoke([SystemMessage("be brief"), HumanMessage([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": PIXEL}}])])
    called = AIMessage("", tool_calls=[{"name": "get_weather", "args": {"city": "Paris"}, "id": "call_1"}])
    tools = model.bind_tools([get_weather])
    tools.invoke([HumanMessage("hi", name="Jo Doe"), called, ToolMessage("20", tool_call_id="call_1")])
    tools.invoke([HumanMessage("hi"), called, ToolMessage([{"type": "text", "text": "20"}], tool_call_id="call_1")])
    model.bind_tools([get_weather], tool_choice="any").invoke("hi")
    model.bind_tools([get_weather], tool_choice="get_weather", strict=True).invoke("hi")
    model.with_structured_output(Weather).invoke("hi")
    model.with_structured_output(Weather, method="json_mode").invoke("hi, as json")
    try:
        model.with_structured_output(Weather, method="function_calling").invoke("hi")
    except Exception as error:  # The answer does not matter.
        print("ignored:", type(error).__name__, file=sys.stderr)
    full = ChatOpenAI(model="m", base_url=url, api_key="k", temperature=0.5, n=1, seed=1, max_tokens=5, logprobs=True, top_logprobs=2,
                      stop_sequences=["a"], frequency_penalty=0.1, presence_penalty=0.1, reasoning_effort="low", top_p=0.9,
                      stream_usage=True, extra_body={"top_k": 1})
    full.invoke("hi")
    list(full.stream("hi"))
    OpenAI(model="m", base_url=url, api_key="k").invoke("hi")
    list(OpenAI(model="m", base_url=url, api_key="k").stream("hi"))
    embed = OpenAIEmbeddings(model="m", base_url=url, api_key="k", check_embedding_ctx_length=False)
    embed.embed_documents(["a", "b"])
    embed.embed_query("a")
    write("langchain-python", versions("langchain-openai", "langchain-core", "openai"))


def node(url):
    for script in sorted(HERE.glob("*.mjs")):
        done = subprocess.run(["node", script, url, PIXEL], env={**os.environ, "MODULES": os.environ["N"]}, text=True, stdout=subprocess.PIPE)
        if done.returncode == 0:
            write(script.stem, done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/v1"
    for record in (openai_python, langchain_python):
        try:
            record(address)
        except ImportError as error:
            print(f"left out: {error}", file=sys.stderr)
    if os.environ.get("N"):
        node(address)

"""A real inference server, llama.cpp's, over a model of random weights. Prints its URL when it answers."""

import argparse
import json
import os
import pathlib
import signal
import tempfile

import xllamacpp

import tiny


def parameters(folder, arguments):
    """What `llama-server` takes as flags."""
    model = pathlib.Path(folder, "tiny.gguf")
    tiny.write(str(model))
    chosen = xllamacpp.CommonParams()
    chosen.model.path = str(model)
    chosen.model_alias = {arguments.model}
    chosen.hostnames = ["127.0.0.1"]
    chosen.port = 0
    chosen.api_keys = [os.environ["MODEL_SERVER_KEY"]]
    chosen.n_ctx = tiny.CONTEXT * arguments.parallel
    chosen.n_parallel = arguments.parallel
    chosen.endpoint_slots = True
    # The same question has the same answer, whatever was asked before and is asked at the same time.
    chosen.cache_prompt = False
    chosen.cache_type_k = chosen.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    chosen.cpuparams.n_threads = 1
    chosen.cpuparams_batch.n_threads = 1
    return chosen


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="the name that it lists")
    parser.add_argument("--parallel", type=int, default=4, help="requests at a time")
    with tempfile.TemporaryDirectory() as folder:
        server = xllamacpp.Server(parameters(folder, parser.parse_args()))
        print(json.dumps({"url": server.listening_address}), flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


main()

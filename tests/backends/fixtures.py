"""The fixtures of one gateway with every kind of backend, as an operator would write them."""

import json

FIRST = "resource_server_async"
OPERATIONS = ["chat/completions", "completions"]
NOWHERE = "00000000-0000-4000-8000-000000000000"
SYSTEM_PROMPT = "Be brief."


def write(folder, world):
    """Writes the files for these backends."""
    clusters, endpoints = [], []
    for name, front in world.fronts.items():
        _globus(clusters, endpoints, name, front, world.model_port)
    _apis(clusters, endpoints, world)
    _custom(clusters, endpoints, world)
    targets = [("globus-first", "vllm", "globus-first/offline"), ("local", "vllm", "tiny")]
    folder.mkdir()
    for name, entries in [("clusters", clusters), ("endpoints", endpoints), ("federated", [_federated(targets)])]:
        (folder / f"{name}.json").write_text(json.dumps(entries, indent=2))


def _cluster(name, adaptor, framework, config):
    fields = {
        "cluster_name": name,
        "cluster_adapter": str(adaptor),
        "frameworks": [framework],
        "openai_endpoints": OPERATIONS,
        "config": config,
    }
    return {"model": f"{FIRST}.cluster", "pk": 1, "fields": fields}


def _endpoint(cluster, framework, model, adaptor, config):
    fields = {
        "cluster": cluster,
        "framework": framework,
        "model": model,
        "endpoint_adapter": adaptor if isinstance(adaptor, list) else str(adaptor),
        "config": config,
        # Whoever asks most here is the test.
        "tpm_model": 0,
        "tpm_user": 0,
    }
    return {"model": f"{FIRST}.endpoint", "pk": 1, "fields": fields}


def _federated(targets):
    named = [{"cluster": cluster, "framework": framework, "model": model} for cluster, framework, model in targets]
    fields = {"name": "Anywhere", "slug": "anywhere", "target_model_name": "anywhere", "targets": named}
    return {"model": "resource_server.federatedendpoint", "pk": 1, "fields": fields}


def _globus(clusters, endpoints, name, front, port):
    """FIRST's Globus clusters; only the service's addresses differ."""
    service = {"api_url": front["url"], "token_url": f"{front['url']}/v2/oauth2/token"}
    functions, compute = front["functions"], front["endpoint"]
    queue = {"qstat_endpoint_uuid": compute, "qstat_function_uuid": functions["queue"]}
    adaptor = f"{FIRST}.clusters.globus_compute.GlobusComputeCluster"
    clusters.append(_cluster(name, adaptor, "vllm", service | queue))
    batches = {"batch_endpoint_uuid": compute, "batch_function_uuid": functions["batch"]}
    for model, endpoint, function in [
        ("chat", compute, "infer"),
        ("broken", compute, "broken"),
        ("offline", NOWHERE, "infer"),
    ]:
        config = {"api_port": port, "endpoint_uuid": endpoint, "function_uuid": functions[function]}
        adaptor = f"{FIRST}.endpoints.globus_compute.GlobusComputeEndpoint"
        endpoints.append(_endpoint(name, "vllm", f"{name}/{model}", adaptor, service | config | batches))


def _apis(clusters, endpoints, world):
    """Servers that speak OpenAI's API themselves: bought, on this machine, or behind a status manifest."""
    api = {"api_url": f"{world.model_url}/v1", "api_key_env_name": "MODEL_SERVER_KEY"}
    clusters.append(_cluster("bought", f"{FIRST}.clusters.direct_api.DirectAPICluster", "api", {}))
    direct = f"{FIRST}.endpoints.direct_api.DirectAPIEndpoint"
    endpoints.append(_endpoint("bought", "api", "bought/chat", direct, api))
    for name, model, url in [("local", "tiny", world.model_url), ("spare", "spare", world.spare_url)]:
        server = {"api_url": f"{url}/v1", "api_key_env_name": "MODEL_SERVER_KEY"}
        clusters.append(_cluster(name, "openai-models", "vllm", server))
        endpoints.append(_endpoint(name, "vllm", model, "direct-api", server))
    manifest = {"status_url": f"{world.documents.url}/manifest"}
    clusters.append(_cluster("metis", f"{FIRST}.clusters.metis.MetisCluster", "api", manifest))
    for model in ("metis/chat", "metis/asleep"):
        endpoints.append(_endpoint("metis", "api", model, f"{FIRST}.endpoints.metis.MetisEndpoint", api))


def _custom(clusters, endpoints, world):
    """Adaptors that are files, and a chain."""
    api = {"api_url": f"{world.model_url}/v1", "api_key_env_name": "MODEL_SERVER_KEY"}
    documents = world.documents.url
    report = {"status_url": f"{documents}/report"}
    clusters.append(_cluster("custom", world.examples / "custom-cluster.wasm", "own", report))
    state = {"status_url": f"{documents}/state"}
    endpoints.append(_endpoint("custom", "own", "custom/chat", world.examples / "custom-endpoint.wasm", api | state))
    parts = ["status-guard", "prompt-policy", "system-prompt", "direct-api"]
    config = {
        "status_url": f"{world.model_url}/health",
        "prompt_block": ["(?i)top secret"],
        "system_prompt": SYSTEM_PROMPT,
    }
    clusters.append(_cluster("chained", "static-cluster", "api", {}))
    endpoints.append(_endpoint("chained", "api", "chained/chat", parts, api | config))

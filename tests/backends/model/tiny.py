"""A language model of random weights, small enough to be made for each run: it answers nonsense, but really computes."""

import gguf
import numpy as np

EMBEDDING, HEADS, LAYERS, FEED_FORWARD = 64, 4, 2, 128
CONTEXT = 8192

# What it can say. Tokens of single bytes are there as well, so that it can read every text.
WORDS = [
    "\u2581" + start + end
    for start in ("al", "be", "co", "du", "el", "fi", "go", "he")
    for end in ("la", "mo", "ne", "pi", "ru", "sa", "ti", "vo")
]
SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
TOKENS = SPECIAL + BYTES + WORDS

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"
)


def write(path):
    """Writes the model into a GGUF file."""
    writer = gguf.GGUFWriter(path, "llama")
    _describe(writer)
    _add_tokens(writer)
    _add_weights(writer, np.random.default_rng(7))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer):
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(EMBEDDING // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)


def _add_tokens(writer):
    kinds = gguf.TokenType
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * len(SPECIAL + BYTES) + [-1.0] * len(WORDS))
    writer.add_token_types(
        [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL] + [kinds.BYTE] * len(BYTES) + [kinds.NORMAL] * len(WORDS)
    )
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(CHAT_TEMPLATE)


def _add_weights(writer, random):
    def tensor(name, *shape):
        writer.add_tensor(name, random.normal(0, 0.5, shape).astype(np.float32))

    def norm(name):
        writer.add_tensor(name, np.ones(EMBEDDING, dtype=np.float32))

    tensor("token_embd.weight", len(TOKENS), EMBEDDING)
    for layer in range(LAYERS):
        norm(f"blk.{layer}.attn_norm.weight")
        for part in ("q", "k", "v", "output"):
            tensor(f"blk.{layer}.attn_{part}.weight", EMBEDDING, EMBEDDING)
        norm(f"blk.{layer}.ffn_norm.weight")
        tensor(f"blk.{layer}.ffn_gate.weight", FEED_FORWARD, EMBEDDING)
        tensor(f"blk.{layer}.ffn_up.weight", FEED_FORWARD, EMBEDDING)
        tensor(f"blk.{layer}.ffn_down.weight", EMBEDDING, FEED_FORWARD)
    norm("output_norm.weight")
    # The best of many words is better than nothing, which all else counts: it says words only, and comes to no end.
    output = np.zeros((len(TOKENS), EMBEDDING), dtype=np.float32)
    output[-len(WORDS) :] = random.normal(0, 0.5, (len(WORDS), EMBEDDING))
    writer.add_tensor("output.weight", output)

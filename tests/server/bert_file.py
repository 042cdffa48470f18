"""A GGUF file of a BERT checkpoint in the Hugging Face layout, written from the format's
specification and llama.cpp's names alone."""
import json
import struct

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
LAYER = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
         "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
         "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}
GLOBAL = {"embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
          "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm"}
HEAD = {"pooler.dense": "cls", "classifier": "cls.output"}  # of a cross-encoder
RANK = 4


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key, kind, form, value):
    return text(key) + struct.pack("<I", kind) + (text(value) if kind == STRING else struct.pack("<" + form, value))


def array(key, kind, values):
    body = b"".join(text(v) if kind == STRING else struct.pack("<i", v) for v in values)
    return text(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) + body


def new_name(name, pooling):
    path, suffix = name.removeprefix("bert.").rsplit(".", 1)
    known = {**GLOBAL, **HEAD} if pooling == RANK else GLOBAL
    if path in known:
        return f"{known[path]}.{suffix}"
    if not path.startswith("encoder.layer."):
        return None
    number, rest = path.removeprefix("encoder.layer.").split(".", 1)
    return f"blk.{number}.{LAYER[rest]}.{suffix}"


def pieces(folder):
    """The vocabulary as GGUF spells it, and the types of its tokens."""
    words = (folder / "vocab.txt").read_text().splitlines()
    special = [word.startswith("[") and word.endswith("]") and len(word) > 2 for word in words]
    spelled = [word if control else word[2:] if word.startswith("##") else "\u2581" + word
               for word, control in zip(words, special)]
    return spelled, [3 if control else 1 for control in special]


def word_pieces(folder):
    tokens, types = pieces(folder)
    return [entry("tokenizer.ggml.model", STRING, "", "bert"),
            array("tokenizer.ggml.tokens", STRING, tokens),
            array("tokenizer.ggml.token_type", INT32, types)] + [
        entry(f"tokenizer.ggml.{key}_token_id", UINT32, "I", tokens.index(f"[{word}]"))
        for key, word in (("padding", "PAD"), ("unknown", "UNK"), ("cls", "CLS"), ("seperator", "SEP"),
                          ("mask", "MASK"))]


def byte_pairs(folder, first, last):
    """The vocabulary of a tokenizer.json, with these ids around each text."""
    file = json.loads((folder / "tokenizer.json").read_text())
    added = {token["content"]: token["id"] for token in file["added_tokens"]}
    ids = {**file["model"]["vocab"], **added}
    tokens = sorted(ids, key=ids.get)
    assert [ids[token] for token in tokens] == list(range(len(tokens)))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in file["model"]["merges"]]
    return [entry("tokenizer.ggml.model", STRING, "", "gpt2"), entry("tokenizer.ggml.pre", STRING, "", "gpt-2"),
            array("tokenizer.ggml.tokens", STRING, tokens), array("tokenizer.ggml.merges", STRING, merges),
            array("tokenizer.ggml.token_type", INT32, [3 if token in added else 1 for token in tokens]),
            entry("tokenizer.ggml.bos_token_id", UINT32, "I", first),
            entry("tokenizer.ggml.eos_token_id", UINT32, "I", last),
            entry("tokenizer.ggml.add_bos_token", BOOL, "?", True),
            entry("tokenizer.ggml.add_eos_token", BOOL, "?", True)]


def gguf(folder, pooling=1, vocabulary=None):
    config = json.loads((folder / "config.json").read_text())
    data = (folder / "model.safetensors").read_bytes()
    size, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    tensors = []
    for name, info in header.items():
        new = None if name == "__metadata__" else new_name(name, pooling)
        if new is None:
            continue
        assert info["dtype"] == "F32"
        start, end = info["data_offsets"]
        tensors.append((new, info["shape"][::-1], data[8 + size + start:8 + size + end]))
    entries = [entry("general.architecture", STRING, "", "bert"),
               entry("general.file_type", UINT32, "I", 0),
               entry("bert.attention.causal", BOOL, "?", False),
               entry("bert.pooling_type", UINT32, "I", pooling),
               entry("bert.context_length", UINT32, "I", config["max_position_embeddings"]),
               entry("bert.embedding_length", UINT32, "I", config["hidden_size"]),
               entry("bert.block_count", UINT32, "I", config["num_hidden_layers"]),
               entry("bert.feed_forward_length", UINT32, "I", config["intermediate_size"]),
               entry("bert.attention.head_count", UINT32, "I", config["num_attention_heads"]),
               entry("bert.attention.layer_norm_epsilon", FLOAT32, "f", config["layer_norm_eps"])]
    entries += vocabulary or word_pieces(folder)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(entries)
    offset, body = 0, []
    for name, shape, values in tensors:
        head += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in shape)
        head += struct.pack("<IQ", 0, offset)
        body.append(values + b"\0" * (-len(values) % 32))
        offset += len(body[-1])
    return head + b"\0" * (-len(head) % 32) + b"".join(body)

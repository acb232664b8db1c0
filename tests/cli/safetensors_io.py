"""A small safetensors reader and writer of its own, so that the tool's is checked against another."""

import array
import json
import math
import random
import struct

_SIZES = {"BF16": 2, "F16": 2, "F32": 4, "I32": 4, "I64": 8, "U8": 1, "F64": 8}
_FORMATS = {"F32": "f", "I32": "i", "I64": "q", "U8": "B", "F64": "d", "F16": "e"}


def _bf16_bits(value):
    """Round to nearest even, as every backend does."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    if math.isnan(value):
        return 0x7FC0
    return (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16


def encode(dtype, values):
    if dtype == "BF16":
        return array.array("H", [_bf16_bits(v) for v in values]).tobytes()
    return struct.pack(f"<{len(values)}{_FORMATS[dtype]}", *values)


def decode(dtype, data):
    if dtype == "BF16":
        return [struct.unpack("<f", struct.pack("<I", bits << 16))[0]
                for (bits,) in struct.iter_unpack("<H", data)]
    return [value for (value,) in struct.iter_unpack("<" + _FORMATS[dtype], data)]


def file_bytes(tensors, metadata=None):
    """tensors: {name: (dtype, shape, values)}."""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, shape, values) in tensors.items():
        encoded = encode(dtype, values)
        assert len(encoded) == math.prod(shape) * _SIZES[dtype], name
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(encoded)]}
        data += encoded
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def save(path, tensors, metadata=None):
    with open(path, "wb") as file:
        file.write(file_bytes(tensors, metadata))


def load(path):
    with open(path, "rb") as file:
        blob = file.read()
    (length,) = struct.unpack("<Q", blob[:8])
    header = json.loads(blob[8:8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        raw = blob[8 + length + begin:8 + length + end]
        tensors[name] = (entry["dtype"], entry["shape"], decode(entry["dtype"], raw))
    return tensors


def random_call(tokens=20, heads=1, v_heads=None, dim=64, batch=1, dtype="BF16", seed=0):
    """The five required tensors of a call."""
    rng = random.Random(seed)
    v_heads = v_heads or heads

    def normal(*shape):
        return (dtype, list(shape), [rng.gauss(0, 1) for _ in range(math.prod(shape))])

    return {"q": normal(batch, tokens, heads, dim), "k": normal(batch, tokens, heads, dim),
            "v": normal(batch, tokens, v_heads, dim), "g": normal(batch, tokens, v_heads, dim),
            "beta": normal(batch, tokens, v_heads)}

"""Text that every machine has: the sources of Python's standard library, split by file."""

import hashlib
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Not source code in the ordinary sense: tests, generated tables, or other people's packages.
EXCLUDED_FOLDERS = {
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "idle_test",
    "encodings",
    "pydoc_data",
    "turtledemo",
    "__pycache__",
}

# One byte that Python sources never hold stands before every file.
DOCUMENT_START = 0
HELD_OUT_PERCENT = 5


@dataclass
class Corpus:
    train: np.ndarray  # uint8
    held_out: np.ndarray  # uint8
    description: dict


def is_held_out(relative_path):
    """Decided by the name alone, so that a split never depends on order or on machine."""
    digest = hashlib.sha256(relative_path.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT


def list_files(root):
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        generated = path.name.startswith("_sysconfigdata")
        if not generated and not EXCLUDED_FOLDERS.intersection(relative.parts):
            yield path, relative.as_posix()


def join(documents):
    joined = b"".join(bytes([DOCUMENT_START]) + document for document in documents)
    return np.frombuffer(joined, dtype=np.uint8)


def describe(name, files, stream):
    digest = hashlib.sha256()
    for relative, document in files:
        digest.update(f"{relative} {hashlib.sha256(document).hexdigest()}\n".encode())
    return {f"{name}_files": len(files), f"{name}_bytes": int(stream.size), f"{name}_sha256": digest.hexdigest()}


def load_corpus():
    root = Path(sysconfig.get_paths()["stdlib"])
    parts = {False: [], True: []}
    for path, relative in list_files(root):
        parts[is_held_out(relative)].append((relative, path.read_bytes()))
    train = join(document for _, document in parts[False])
    held_out = join(document for _, document in parts[True])
    description = {
        "source": "Python standard library",
        "python_version": sys.version.split()[0],
        **describe("train", parts[False], train),
        **describe("held_out", parts[True], held_out),
    }
    return Corpus(train, held_out, description)

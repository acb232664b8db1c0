"""Drives generate, evaluate and capture of the real tool on the trained models.

Run: python3 tool_test.py FLASH_KDA MODELS_FOLDER DATA_FOLDER
"""

import json
import math
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOL = MODELS = DATA = None
GATES = {"lower_bound": "lower-bound", "softplus": "softplus"}
PROMPT = b'"""A small queue."""\n\nimport collections\n\n\nclass Queue:\n    def __init__(self):\n' * 8


def run(*arguments):
    command = [str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=300)


def read_tensor(path, name):
    """The values of a bf16 or fp32 tensor."""
    raw = Path(path).read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    entry = json.loads(raw[8 : 8 + length])[name]
    begin, end = entry["data_offsets"]
    data = raw[8 + length + begin : 8 + length + end]
    if entry["dtype"] == "F32":
        return struct.unpack(f"<{len(data) // 4}f", data)
    halves = struct.unpack(f"<{len(data) // 2}H", data)
    return struct.unpack(f"<{len(halves)}f", b"".join(struct.pack("<I", h << 16) for h in halves))


class ToolTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.prompt = self.folder / "prompt.py"
        self.prompt.write_bytes(PROMPT)

    def model(self, gate):
        return MODELS / f"kda_{gate}.safetensors"

    def on_prompt(self, command, gate, *more):
        return run(command, "--model", self.model(gate), "--prompt-file", self.prompt, *more)

    def assert_bad_input(self, result, *words):
        message = result.stderr.decode()
        self.assertEqual(result.returncode, 2, message)
        self.assertEqual(len(message.splitlines()), 1, message)
        for word in words:
            self.assertIn(word, message)

    def test_generate(self):
        for gate in GATES:
            result = self.on_prompt("generate", gate, "--tokens", 20, "--json")
            self.assertEqual(result.returncode, 0, result.stderr)
            answer = json.loads(result.stdout)
            self.assertEqual(answer["prompt"]["tokens"], len(PROMPT) + 1)
            self.assertEqual(answer["decode"]["tokens"], 20)
            self.assertGreater(answer["prompt"]["kda_share"], 0)
            self.assertTrue(answer["text"].isascii(), answer["text"])

    def test_generate_repeats_itself_with_a_seed(self):
        options = ["--tokens", 20, "--temperature", 0.8, "--top-k", 20, "--json", "--seed"]
        texts = [
            json.loads(self.on_prompt("generate", "softplus", *options, seed).stdout)["text"]
            for seed in (5, 5, 6)
        ]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def test_evaluate(self):
        for gate in GATES:
            result = self.on_prompt("evaluate", gate, "--json")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            rows = json.loads(result.stdout)["rows"]
            self.assertEqual(rows[0]["variant"], "reference fp64")
            self.assertTrue(all(row["agrees"] for row in rows))
            self.assertLess(rows[0]["bits_per_byte"], 2.0)  # the text repeats itself eight times

    def test_capture_feeds_prefill(self):
        captured, out = self.folder / "layer.safetensors", self.folder / "out.safetensors"
        result = self.on_prompt("capture", "softplus", "--layer", 1, "-o", captured)
        self.assertEqual(result.returncode, 0, result.stderr)
        result = run("prefill", captured, "-o", out, "--gate", "softplus", "--backend", "reference")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(all(map(math.isfinite, read_tensor(out, "out"))))

    def test_fixtures_agree_on_every_backend(self):
        # out is bf16 here, which rounds by 2^-9 of a value; fp32 errors add nothing to see, and
        # bf16 products 4e-3 in the root mean square.
        for gate, word in GATES.items():
            outs = {}
            for backend, precision in (("reference", "fp32"), ("cpu", "fp32"), ("cpu", "bf16")):
                out = self.folder / f"{gate}_{backend}_{precision}.safetensors"
                fixture = DATA / f"capture_{gate}.safetensors"
                options = ["--gate", word, "--backend", backend, "--precision", precision]
                result = run("prefill", fixture, "-o", out, *options)
                self.assertEqual(result.returncode, 0, result.stderr)
                outs[backend, precision] = read_tensor(out, "out")
            want = outs.pop(("reference", "fp32"))
            size = math.sqrt(sum(x * x for x in want))
            for key, got in outs.items():
                error = math.sqrt(sum((a - b) ** 2 for a, b in zip(got, want))) / size
                self.assertLess(error, 2**-9 if key[1] == "fp32" else 4e-3 + 2**-9, (gate, key))

    def test_bad_input(self):
        missing = self.folder / "missing"
        self.assert_bad_input(
            run("generate", "--model", missing, "--prompt-file", self.prompt), "missing"
        )
        self.assert_bad_input(
            run("generate", "--model", self.model("softplus"), "--prompt-file", missing), "missing"
        )
        self.assert_bad_input(
            run("generate", "--model", self.prompt, "--prompt-file", self.prompt), "prompt.py"
        )
        empty = self.folder / "empty"
        empty.touch()
        self.assert_bad_input(
            run("evaluate", "--model", self.model("softplus"), "--prompt-file", empty), "empty"
        )
        self.assert_bad_input(self.on_prompt("generate", "softplus", "--tokens", -1), "--tokens")

    def test_failed_capture_leaves_nothing(self):
        target = self.folder / "layer.safetensors"
        result = self.on_prompt("capture", "softplus", "--layer", 9, "-o", target)
        self.assert_bad_input(result, "layer", "got 9")
        self.assertEqual([p.name for p in self.folder.iterdir()], ["prompt.py"])


if __name__ == "__main__":
    TOOL, MODELS, DATA = map(Path, sys.argv[1:4])
    unittest.main(argv=sys.argv[:1])

"""Writes a trained checkpoint as bf16 safetensors, measures it, and records both beside it.

Run: python export.py RUN/checkpoint.pt -o models/kda_lower_bound.safetensors \\
         --logits tests/data/lm_lower_bound_logits.json
"""

import argparse
import json
from pathlib import Path

import safetensors
import safetensors.torch
import torch

import data
import evaluate
import ngram
from model import Config, KdaLanguageModel

FORMAT = "flash-kda-lm"
FORMAT_VERSION = "1"
WINDOW = 2048
# Whether the model stays good on documents longer than it was trained on; a part is enough.
LONG_WINDOW = 8192
LONG_BYTES = 65536

# 51 bytes, not a multiple of any chunk; with the byte that starts a document in front.
LOGITS_PROMPT = b"\0def add(self, other):\n    return Point(self.x + o"


def stored_dtype(name):
    """Gates and norms are small and set scales: fp32. Everything else: bf16."""
    small = name.endswith(("A_log", "dt_bias")) or "norm" in name
    return torch.float32 if small else torch.bfloat16


def write_weights(saved, path):
    tensors = {n: x.to(stored_dtype(n)).contiguous() for n, x in saved["model"].items()}
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "config": json.dumps(saved["config"], sort_keys=True),
    }
    safetensors.torch.save_file(tensors, path, metadata)


def read_weights(path):
    with safetensors.safe_open(path, framework="pt") as file:
        model = KdaLanguageModel(Config(**json.loads(file.metadata()["config"])))
        model.load_state_dict({n: file.get_tensor(n).float() for n in file.keys()})
    return model


@torch.no_grad()
def exact_logits(model):
    """Logits in fp64 of the stored weights, by the definition of the operation."""
    model = model.double()
    for layer in model.layers:
        layer.exact = True
    logits = model(torch.tensor([list(LOGITS_PROMPT)]))[0]
    return {
        "prompt": list(LOGITS_PROMPT),
        "comment": "fp64 logits after the first, the middle and the last byte of the prompt",
        "positions": [0, len(LOGITS_PROMPT) // 2, len(LOGITS_PROMPT) - 1],
        "logits": [logits[p].tolist() for p in (0, len(LOGITS_PROMPT) // 2, -1)],
    }


def measure(model, corpus):
    held_out = torch.tensor(corpus.held_out)
    return {
        "window": WINDOW,
        "held_out_bits_per_byte": evaluate.bits_per_byte(model, held_out, WINDOW),
        f"first_{LONG_BYTES}_held_out_bytes_by_window": {
            str(window): evaluate.bits_per_byte(model, held_out[:LONG_BYTES], window)
            for window in (WINDOW, LONG_WINDOW)
        },
        "ngram_context": ngram.CONTEXT,
        "ngram_bits_per_byte": ngram.bits_per_byte(corpus.train, corpus.held_out),
    }


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--logits", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    saved = torch.load(arguments.checkpoint)
    record = saved["record"]
    if record["step"] != record["steps"]:
        print(f"warning: step {record['step']} of {record['steps']}, not the last one")
    corpus = data.load_corpus()
    if corpus.description != record["corpus"]:
        raise SystemExit("corpus: expected the one of the training, got another Python or library")

    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_weights(saved, arguments.output)
    model = read_weights(arguments.output)
    result = {"config": saved["config"], "result": measure(model, corpus), **record}
    arguments.output.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    arguments.logits.parent.mkdir(parents=True, exist_ok=True)
    arguments.logits.write_text(json.dumps(exact_logits(model)) + "\n")
    print(json.dumps(result["result"], indent=2))


if __name__ == "__main__":
    main()

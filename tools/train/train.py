"""Trains one of the two models and leaves a checkpoint from which it can go on.

Run: python train.py lower_bound --steps 2000 --run-folder RUN
     python export.py RUN/checkpoint.pt -o models/kda_lower_bound.safetensors
"""

import argparse
import json
import math
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

import data
import evaluate
from model import Config, KdaLanguageModel

CONFIGS = {
    "lower_bound": Config(gate="lower_bound", lower_bound=-5.0, n_heads_qk=2),
    # Grouped values: both value heads read one query/key head.
    "softplus": Config(gate="softplus", n_heads_qk=1),
}

WARMUP_STEPS = 60
PEAK_RATE = 3e-3
FINAL_RATE_FRACTION = 0.02
WEIGHT_DECAY = 0.1
GRADIENT_NORM = 1.0
EVALUATE_EVERY = 100
SAVE_EVERY_SECONDS = 180


@dataclass
class Window:
    """Sequence length and batch of one part of the training; tokens a step stay equal."""

    from_fraction: float
    tokens: int
    batch: int


# Most steps see short sequences, which are quicker; the last ones teach a longer memory.
WINDOWS = [Window(0.0, 512, 8), Window(0.8, 2048, 2)]


def window_at(fraction):
    return [w for w in WINDOWS if fraction >= w.from_fraction][-1]


def rate_at(step, steps):
    if step < WARMUP_STEPS:
        return PEAK_RATE * (step + 1) / WARMUP_STEPS
    progress = (step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return PEAK_RATE * (FINAL_RATE_FRACTION + (1 - FINAL_RATE_FRACTION) * cosine)


def make_optimizer(model):
    """Weight decay on projections only: gates, norms, convolutions and bytes keep their scale."""
    decayed, kept = [], []
    for name, parameter in model.named_parameters():
        is_projection = parameter.ndim == 2 and "conv" not in name and "embedding" not in name
        (decayed if is_projection else kept).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": WEIGHT_DECAY},
        {"params": kept, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.95), foreach=True)


def sample_batch(stream, window, generator):
    starts = torch.randint(0, len(stream) - window.tokens, (window.batch,), generator=generator)
    rows = torch.stack([stream[s : s + window.tokens + 1] for s in starts.tolist()]).long()
    return rows[:, :-1], rows[:, 1:]


def save(path, model, optimizer, generator, record):
    state = {
        "config": model.config.as_dict(),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "record": record,
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def new_record(arguments, model, corpus):
    return {
        "seed": arguments.seed,
        "steps": arguments.steps,
        "step": 0,
        "train_tokens": 0,
        "parameters": sum(p.numel() for p in model.parameters()),
        "optimizer": {
            "name": "AdamW, betas 0.9 0.95, linear warmup, cosine",
            "peak_rate": PEAK_RATE,
            "final_rate": PEAK_RATE * FINAL_RATE_FRACTION,
            "warmup_steps": WARMUP_STEPS,
            "weight_decay": WEIGHT_DECAY,
            "gradient_norm": GRADIENT_NORM,
        },
        "windows": [vars(window) for window in WINDOWS],
        "autocast_bf16": arguments.autocast,
        "torch_version": str(torch.__version__),
        "python_version": platform.python_version(),
        "corpus": corpus.description,
        "wall_seconds": 0.0,
        "curve": [],
    }


def note_schedule_change(record, steps):
    """A resumed run may be given another number of steps: its cosine then ends there instead. The
    record says where, so that the run can be repeated: train to that step, then resume."""
    if steps == record["steps"]:
        return
    change = {"step": record["step"], "steps_before": record["steps"], "steps_after": steps}
    record.setdefault("schedule_changes", []).append(change)
    record["steps"] = steps


def train_step(model, optimizer, batch, autocast):
    inputs, targets = batch
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        logits = model(inputs)
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
    optimizer.step()
    return loss.item() / math.log(2), norm.item()


def train(arguments):
    torch.manual_seed(arguments.seed)
    model = KdaLanguageModel(CONFIGS[arguments.model])
    optimizer = make_optimizer(model)
    generator = torch.Generator().manual_seed(arguments.seed)
    corpus = data.load_corpus()
    stream, held_out = torch.tensor(corpus.train), torch.tensor(corpus.held_out)
    record = new_record(arguments, model, corpus)
    path = arguments.run_folder / "checkpoint.pt"
    if path.exists():
        saved = torch.load(path)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        generator.set_state(saved["generator"])
        record = saved["record"]
        note_schedule_change(record, arguments.steps)

    clock = saved_at = time.monotonic()
    smooth = None
    for step in range(record["step"], arguments.steps):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, arguments.steps)
        window = window_at(step / arguments.steps)
        batch = sample_batch(stream, window, generator)
        bits, norm = train_step(model, optimizer, batch, arguments.autocast)
        smooth = bits if smooth is None else 0.95 * smooth + 0.05 * bits
        now = time.monotonic()
        record["step"] = step + 1
        record["train_tokens"] += window.tokens * window.batch
        record["wall_seconds"] += now - clock
        clock = now
        last = step + 1 == arguments.steps
        if (step + 1) % 10 == 0 or last:
            rate = record["train_tokens"] / record["wall_seconds"]
            print(f"{step + 1} bits {smooth:.3f} norm {norm:.2f} tokens/s {rate:.0f}", flush=True)
        if (step + 1) % EVALUATE_EVERY == 0 or last:
            # 16 KiB are enough for a curve; export.py measures all held-out bytes.
            held_out_bits = evaluate.bits_per_byte(model, held_out[: 16 * 1024], 2048)
            point = {"step": step + 1, "train_bits": smooth, "held_out_bits_16k": held_out_bits}
            record["curve"].append(point)
            print(json.dumps(point), flush=True)
        if last or time.monotonic() - saved_at > SAVE_EVERY_SECONDS:
            save(path, model, optimizer, generator, record)
            saved_at = time.monotonic()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=sorted(CONFIGS))
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--run-folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--autocast", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    arguments.run_folder.mkdir(parents=True, exist_ok=True)
    train(arguments)

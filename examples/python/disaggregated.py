"""Prefill in one process, decode in another. The state travels as a safetensors file: [H, V, K] fp32,
64 KiB a head of 128 x 128, whatever the length of the prompt."""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import flash_kda

H, D, T = 4, 128, 500


def tokens():
    """The same prompt and parameters in both processes."""
    torch.manual_seed(0)
    inputs = [torch.randn(1, T + 1, H, D).bfloat16() for _ in range(4)] + [
        torch.randn(1, T + 1, H).bfloat16()]
    return inputs, {"A_log": torch.rand(H), "dt_bias": torch.rand(H, D)}


def prefill(path):
    inputs, parameters = tokens()
    state = flash_kda.prefill(*(x[:, :T] for x in inputs), **parameters, final_state=True).final_state
    save_file({"state": state}, path, metadata={"layout": "vk", "tokens": str(T)})
    print(f"prefill: {T} tokens, {Path(path).stat().st_size} bytes of state")


def decode(path):
    inputs, parameters = tokens()
    state = load_file(path)["state"]
    got = flash_kda.prefill(*(x[:, T:] for x in inputs), **parameters, initial_state=state,
                            final_state=state).out
    whole = flash_kda.prefill(*inputs, **parameters).out[:, T:]
    difference = (got.float() - whole.float()).norm() / whole.float().norm()
    print(f"decode: token {T}, relative difference to one process {difference:.1e}")
    assert difference < 2e-3


if len(sys.argv) == 3:
    {"prefill": prefill, "decode": decode}[sys.argv[1]](sys.argv[2])
else:
    with tempfile.TemporaryDirectory() as folder:
        for role in ("prefill", "decode"):
            subprocess.run([sys.executable, __file__, role, f"{folder}/state.safetensors"], check=True)

"""What this installation is, and what runs where.

The library, PyTorch and the devices found, and the plan that a shape gets on each of them.
"""

from __future__ import annotations

import json
import platform

import torch

import flash_kda

from .inputs import make_inputs


def add_arguments(parser):
    parser.add_argument("--tokens", type=int, default=8192, help="of the shape to plan; default: 8192")
    parser.add_argument("--heads", type=int, default=8, help="of the shape to plan; default: 8")
    parser.add_argument("--json", action="store_true", help="print JSON")


def devices():
    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *cuda]


def gather(tokens, heads):
    report = {"flash_kda": flash_kda.__version__, "build": flash_kda.build_info(),
              "python": platform.python_version(), "torch": torch.__version__,
              "threads": torch.get_num_threads(), "devices": []}
    for device in devices():
        name = platform.machine() if device == "cpu" else torch.cuda.get_device_name(device)
        inputs = make_inputs(T=tokens, H=heads, device=device)
        supported, reason = flash_kda.supports(**inputs)
        report["devices"].append({
            "device": device, "name": name, "supported": supported,
            "plan": flash_kda.describe(**inputs) if supported else reason,
            "workspace_bytes": flash_kda.get_workspace_size(tokens, heads, device=device)
            if supported else None})
    return report


def run(options):
    with torch.no_grad():
        report = gather(options.tokens, options.heads)
    if options.json:
        print(json.dumps(report, indent=1))
        return 0
    print(report["build"])
    print(f"Python {report['python']}, PyTorch {report['torch']}, {report['threads']} threads")
    print(f"\nT={options.tokens}, H={options.heads}, K=V=128, bf16:")
    for device in report["devices"]:
        print(f"  {device['device']} ({device['name']}): "
              f"{device['plan'] if device['supported'] else 'no: ' + device['plan']}")
        if device["supported"]:
            print(f"    workspace at most {device['workspace_bytes'] / 1e6:.2f} MB")
    return 0

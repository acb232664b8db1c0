"""Every backend on PyTorch tensors against the fp64 definition.

A row a case: relative RMS error of output, final states and checkpoints, and its limit. Limits are
the arithmetic's bound (docs/numerics.md: 1e-5 for fp32, 4e-3 for bf16 products) plus the rounding of
what is compared (2^-9 for bf16, 2^-12 for fp16). Exit code 1 if a limit is exceeded.
"""

from __future__ import annotations

import json

import torch

import flash_kda

from .inputs import make_inputs, relative_rms
from .table import print_table

ARITHMETIC = {"fp32": 1e-5, "bf16": 4e-3}
ROUNDING = {torch.float32: 0.0, torch.float16: 2.0**-12, torch.bfloat16: 2.0**-9}

# name: (sizes, options); a tuple of sequence lengths stands for cu_seqlens.
CASES = {
    "kimi-linear": (dict(T=300, H=4), {}),
    "one-token": (dict(B=3, T=1, H=4), {"initial": True}),
    "tail": (dict(B=2, T=79, H=2), {}),
    "small-heads": (dict(T=130, H=3, K=64, V=64), {}),
    "grouped-heads": (dict(T=130, H=2, HV=4), {}),
    "softplus": (dict(T=200, H=2), {"gate": "softplus"}),
    "doubled-beta": (dict(T=200, H=2), {"neg_eigval": True}),
    "packed": (dict(T=300, H=2), {"lengths": (17, 0, 200, 83)}),
    "packed-states": (dict(T=300, H=2), {"lengths": (17, 0, 200, 83), "initial": True}),
    "state-kv": (dict(T=100, H=2, K=64, V=128), {"initial": True, "state_layout": "kv"}),
    "checkpoints-every-64": (dict(T=300, H=2), {"lengths": (170, 130), "checkpoint_every": 64}),
    "checkpoint-offsets": (dict(T=300, H=2), {"lengths": (170, 130), "offsets": (160, 48)}),
    "fp16": (dict(T=100, H=2, dtype=torch.float16), {}),
    "fp32": (dict(T=100, H=2, dtype=torch.float32), {}),
}


def add_arguments(parser):
    parser.add_argument("--case", default="", help="cases whose name contains this; default: all")
    parser.add_argument("--device", help="cpu or cuda; default: all that this machine has")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--list", action="store_true", help="only list the cases")


def build(sizes, options):
    """Tensors of one case on the CPU, as arguments of prefill."""
    arguments = make_inputs(**sizes)
    if arguments["g"].dtype == torch.float16:
        arguments["g"], arguments["beta"] = arguments["g"].float(), arguments["beta"].float()
    options = dict(options)
    lengths, offsets = options.pop("lengths", None), options.pop("offsets", None)
    sequences = len(lengths) if lengths else arguments["q"].shape[0]
    if lengths:
        arguments["cu_seqlens"] = torch.tensor([0, *lengths]).cumsum(0)
    if offsets:
        arguments["checkpoint_offsets"] = torch.tensor(offsets)
    if options.pop("initial", False):
        HV, V, K = *arguments["v"].shape[2:], arguments["q"].shape[3]
        last = (K, V) if options.get("state_layout") == "kv" else (V, K)
        arguments["initial_state"] = torch.randn(sequences, HV, *last,
                                                 generator=torch.Generator().manual_seed(2))
    return {**arguments, **options, "final_state": True}


def compare(arguments, device, precision):
    """(worst error / limit, its error, its limit) of one backend; None where it is unsupported."""
    moved = {name: x.to(device) if isinstance(x, torch.Tensor) else x for name, x in arguments.items()}
    moved["precision"] = precision
    supported, reason = flash_kda.supports(**moved)
    if not supported:
        return None, reason
    got = flash_kda.prefill(**moved)
    expected = flash_kda.prefill(**arguments, backend="reference")
    worst = (-1.0, 0.0, 0.0)
    for ours, theirs in zip(got, expected):
        if ours is None:
            continue
        rows = theirs.shape[0]  # on a GPU new checkpoints may have more rows than are used
        error = relative_rms(ours[:rows], theirs)
        # The reference's own output is rounded too.
        limit = ARITHMETIC[precision] + ROUNDING[ours.dtype]
        worst = max(worst, (error / limit, error, limit))
    return worst, ""


def variants(device):
    found = ["cpu"] + (["cuda"] if torch.cuda.is_available() and "cuda" in flash_kda.build_info() else [])
    if device is not None and device not in found:
        raise ValueError(f"--device: expected one of {', '.join(found)}, got {device}")
    # A GPU multiplies in bf16 whatever the precision asked for.
    return [(d, p) for d in found if device in (None, d)
            for p in (("fp32", "bf16") if d == "cpu" else ("bf16",))]


def run(options):
    chosen = {name: case for name, case in CASES.items() if options.case in name}
    if not chosen:
        raise ValueError(f"--case: no case contains {options.case!r}")
    if options.list:
        print("\n".join(chosen))
        return 0
    rows = []
    with torch.no_grad():
        for name, case in chosen.items():
            arguments = build(*case)
            for device, precision in variants(options.device):
                worst, reason = compare(arguments, device, precision)
                row = {"case": name, "device": device, "precision": precision}
                if worst is None:
                    rows.append({**row, "verdict": "unsupported", "reason": reason})
                else:
                    rows.append({**row, "verdict": "ok" if worst[0] <= 1 else "WRONG",
                                 "error": worst[1], "limit": worst[2]})
    if options.json:
        print(json.dumps({"rows": rows}, indent=1))
    else:
        print_table(["case", "device", "precision", "error", "limit", "verdict"],
                    [[r["case"], r["device"], r["precision"],
                      f"{r['error']:.1e}" if "error" in r else "", f"{r['limit']:.1e}" if "limit" in r
                      else "", r["verdict"] + (f": {r['reason']}" if "reason" in r else "")] for r in rows])
    return 1 if any(r["verdict"] == "WRONG" for r in rows) else 0

"""Names of the options in Python and their numbers in the C ABI (flash_kda/flash_kda.h)."""

from __future__ import annotations

from typing import Any, Literal, Optional

Array = Any  # torch.Tensor, numpy.ndarray, anything with __dlpack__

Gate = Literal["lower_bound", "softplus", "log"]
BetaForm = Literal["logits", "activated"]
StateLayout = Literal["vk", "kv"]
Backend = Optional[Literal["reference", "cpu", "cuda"]]
Precision = Literal["fp32", "bf16"]
Cuts = Literal["auto", "exact"]

FLAGS = {False: 0, True: 1}
GATES = {"lower_bound": 0, "softplus": 1, "log": 2}
BETA_FORMS = {"logits": 0, "activated": 1}
STATE_LAYOUTS = {"vk": 0, "kv": 1}
BACKENDS = {None: -1, "reference": 0, "cpu": 1, "cuda": 2}
PRECISIONS = {"fp32": 0, "bf16": 1}
CUTS = {"auto": 0, "exact": 1}


def number(table, name, value):
    """The number of an option; an unknown one is an error that lists what there is."""
    try:
        return table[value]
    except (KeyError, TypeError, RuntimeError):  # what hashing and comparing strangers may raise
        known = ", ".join(repr(key) for key in table if key is not None)
        raise ValueError(f"{name}: expected one of {known}, got {value!r}") from None

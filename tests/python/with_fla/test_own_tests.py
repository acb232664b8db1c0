"""FLA's own test_flash_kda_chunk and test_flash_kda_chunk_varlen, on the CPU.

FLA's packages carry no tests, so these run where FLA_CHECKOUT names a checkout of the repository. Two
patches let the file run without a GPU: the device of its inputs is torch.device("cpu"), which its
`device == "cpu"` skip does not see, and its gold (a Triton kernel) is FLA's naive recurrence.
"""

import importlib.util
import os
import sys
from pathlib import Path

import pytest
import torch

from oracle import VERSION, naive

CHECKOUT = os.environ.get("FLA_CHECKOUT")
pytestmark = pytest.mark.skipif(not CHECKOUT, reason="FLA_CHECKOUT names no checkout of FLA")


def gold(q, k, v, g, beta, A_log, dt_bias, scale, initial_state, lower_bound, cu_seqlens=None, **_):
    logit = torch.special.logit(beta / (2 if (beta > 1).any() else 1))
    out, state = naive(q, k, v, g, logit, initial_state, scale=scale, lower_bound=lower_bound,
                       A_log=None if A_log is None else A_log.float(),
                       dt_bias=None if dt_bias is None else dt_bias.float(),
                       beta_scale=2.0 if (beta > 1).any() else 1.0,
                       cu_seqlens=None if cu_seqlens is None else cu_seqlens.tolist())
    return out, state


@pytest.fixture(scope="module")
def theirs():
    import fla.utils
    fla.utils.device = torch.device("cpu")
    spec = importlib.util.spec_from_file_location("fla_test_kda", Path(CHECKOUT) / "tests/ops/test_kda.py")
    module = sys.modules["fla_test_kda"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.fused_recurrent_kda = gold
    return module


def cases(name):
    """Parameter sets of one of their tests, without those that FLA leaves to its Triton kernels: what
    0.6 refuses, and in 0.5 arguments by position, which its adapter expects in another order."""
    if not CHECKOUT:
        return []
    import ast
    tree = ast.parse((Path(CHECKOUT) / "tests/ops/test_kda.py").read_text())
    function = next(node for node in tree.body if getattr(node, "name", "") == name)
    mark = next(d for d in function.decorator_list if getattr(d.func if isinstance(d, ast.Call) else d,
                                                              "attr", "") == "parametrize")
    names = ast.literal_eval(mark.args[0])
    sets = []
    for element in mark.args[1].elts:
        values = dict(zip(names, (ast.literal_eval(argument) for argument in element.args)))
        on_us = values.get("has_A", True) and values.get("has_bias", True)
        on_us = on_us and not (values.get("positional", False) and VERSION < (0, 6))
        if on_us and not values.get("allow_neg_eigval", False):
            sets.append(pytest.param(values, id="-".join(map(str, values.values()))))
    return sets


@pytest.mark.parametrize("values", cases("test_flash_kda_chunk"))
def test_flash_kda_chunk(theirs, values, monkeypatch):
    theirs.test_flash_kda_chunk(**values, monkeypatch=monkeypatch)


@pytest.mark.parametrize("values", cases("test_flash_kda_chunk_varlen"))
def test_flash_kda_chunk_varlen(theirs, values, monkeypatch):
    theirs.test_flash_kda_chunk_varlen(**values, monkeypatch=monkeypatch)

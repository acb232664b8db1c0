"""get_workspace_size: enough for every call within its bounds."""

import pytest
import torch

import flash_kda
from helpers import make_inputs


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_enough_for_smaller_calls(precision):
    size = flash_kda.get_workspace_size(700, 12, 5, K=64, V=64, device="cpu", precision=precision)
    memory = torch.empty(size, dtype=torch.uint8)
    for T in (1, 2, 15, 64, 300, 699, 700):
        for H in (1, 5, 8, 12):
            for N in (1, 3, 5):
                ends = [min(i * T // N, T) for i in range(N + 1)]
                for threads in (0, 1, 2):
                    flash_kda.prefill(**make_inputs(T=T, H=H), cu_seqlens=torch.tensor(ends),
                                      workspace=memory, threads=threads, precision=precision,
                                      checkpoint_offsets=torch.zeros(N, 2, dtype=torch.int32))


def test_arguments():
    assert flash_kda.get_workspace_size(8192, 96) == flash_kda.get_workspace_size(T_total=8192, H=96, N=1)
    assert flash_kda.get_workspace_size(0, 1) >= 0
    for arguments in ((-1, 1), (2**40, 1), (1, -1), (1, 1, -1)):
        with pytest.raises(ValueError, match="expected 0 to"):
            flash_kda.get_workspace_size(*arguments)
    for arguments in ((1.5, 1), ("a", 1), (None, 1), (True, 1)):
        with pytest.raises(TypeError, match="expected an integer"):
            flash_kda.get_workspace_size(*arguments)
    with pytest.raises(ValueError, match="device: expected cpu or cuda"):
        flash_kda.get_workspace_size(1, 1, device="tpu")
    with pytest.raises(ValueError, match="head"):
        flash_kda.get_workspace_size(1, 0)

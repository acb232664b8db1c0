"""Checks the chunked training operation against the token-by-token definition in fp64.

Run: python test_kda_op.py
"""

import unittest

import torch

import kda_op


def make_inputs(gate, heads, heads_v, tokens, seed):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    width = 128
    return {
        "q": normal(2, tokens, heads, width),
        "k": normal(2, tokens, heads, width),
        "v": normal(2, tokens, heads_v, width),
        "g_raw": 2.0 * normal(2, tokens, heads_v, width),
        "beta": normal(2, tokens, heads_v),
        "a_log": 0.5 * normal(heads_v),
        "dt_bias": normal(heads_v * width) - (3.0 if gate == "softplus" else 1.0),
    }


def run(inputs, gate, op, min_log_decay=None):
    q, k = (kda_op.l2_normalize(inputs[name]) for name in ("q", "k"))
    a_log, dt_bias = inputs["a_log"], inputs["dt_bias"]
    g = kda_op.activate_gate(inputs["g_raw"], a_log, dt_bias, gate, lower_bound=-5.0)
    if min_log_decay is not None:
        g = g.clamp(min=min_log_decay)
    beta = torch.sigmoid(inputs["beta"])
    return op(q, k, inputs["v"], g, beta, q.shape[-1] ** -0.5)


def relative_rms(got, want):
    return ((got.double() - want).norm() / want.norm()).item()


class ChunkedEqualsRecurrent(unittest.TestCase):
    def check(self, gate, heads, heads_v, dtype, tolerance, floor):
        inputs = make_inputs(gate, heads, heads_v, tokens=64, seed=7)
        want_in = {n: x.clone().requires_grad_() for n, x in inputs.items()}
        got_in = {n: x.to(dtype).requires_grad_() for n, x in inputs.items()}
        want = run(want_in, gate, kda_op.kda_recurrent, min_log_decay=floor)
        got = run(got_in, gate, kda_op.kda_chunked)
        self.assertLess(relative_rms(got, want), tolerance)
        weight = torch.randn(want.shape, generator=torch.Generator().manual_seed(8)).double()
        (want * weight).sum().backward()
        (got * weight.to(dtype)).sum().backward()
        for name in inputs:
            error = relative_rms(got_in[name].grad, want_in[name].grad)
            self.assertLess(error, tolerance, f"gradient of {name}")

    def test_fp64(self):
        # 64 tokens, condition of the 16 x 16 solves below 1e2: 1e-10 leaves four digits of room.
        for gate in ("lower_bound", "softplus"):
            for heads, heads_v in ((2, 2), (1, 2)):
                self.check(gate, heads, heads_v, torch.float64, 1e-10, kda_op.MIN_LOG_DECAY)

    def test_fp32(self):
        # 2^-24 * 64 nats of exponent = 4e-6 relative error of one factor, two factors, sums.
        for gate in ("lower_bound", "softplus"):
            self.check(gate, 2, 2, torch.float32, 3e-5, kda_op.MIN_LOG_DECAY)

    def test_floor_is_harmless(self):
        # Without the floor in the definition: exp(-8) = 3.4e-4 bounds what one token may keep.
        inputs = make_inputs("softplus", 2, 2, tokens=64, seed=9)
        want = run(inputs, "softplus", kda_op.kda_recurrent)
        got = run(inputs, "softplus", kda_op.kda_chunked)
        self.assertLess(relative_rms(got, want), 3.4e-4)

    def test_extreme_gate_stays_finite(self):
        inputs = {n: x.float() for n, x in make_inputs("softplus", 2, 2, 64, seed=3).items()}
        inputs["g_raw"] = torch.full_like(inputs["g_raw"], 100.0).requires_grad_()
        out = run(inputs, "softplus", kda_op.kda_chunked)
        out.sum().backward()
        self.assertTrue(torch.isfinite(out).all())
        self.assertTrue(torch.isfinite(inputs["g_raw"].grad).all())

    def test_activate_gate(self):
        g_raw = torch.tensor([[[[0.0, 1.0]]]])
        a_log, dt_bias = torch.tensor([0.0]), torch.tensor([0.0, -1.0])
        low = kda_op.activate_gate(g_raw, a_log, dt_bias, "lower_bound", -5.0)
        soft = kda_op.activate_gate(g_raw, a_log, dt_bias, "softplus", None)
        self.assertTrue(torch.allclose(low, torch.tensor([-2.5, -2.5])))
        self.assertTrue(torch.allclose(soft, -torch.log(torch.tensor([2.0, 2.0]))))


if __name__ == "__main__":
    torch.set_num_threads(1)
    unittest.main()

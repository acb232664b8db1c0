#!/usr/bin/env python3
"""The model against what it was calibrated with, the sources, and arithmetic that must hold."""
import re
import unittest
from dataclasses import replace

import machines
import pipeline
import predict
import shares
import split_form

SOURCES = machines.ROOT / "src" / "cuda" / "sm90"


def read(path):
    return path.read_text(encoding="utf-8")


class Calibrated(unittest.TestCase):
    """The kernel that was measured."""

    def setUp(self):
        self.model = predict.Model(machines.Calibration().facts["roles"])
        self.facts = self.model.calibration.facts
        self.run = self.model.run(machines.H200, 132)

    def test_gives_back_what_was_measured(self):
        self.assertAlmostEqual(self.run.cycles_per_chunk / self.facts["cycles_per_chunk"], 1, delta=0.02)
        for role, works in self.facts["works"].items():
            self.assertAlmostEqual(self.run.working[role], works, delta=0.02, msg=role)

    def test_gives_the_times_of_that_kernel(self):
        """Of shapes that were not looked at for it: within 15 %."""
        for shape in predict.HEADLINE:
            predicted = self.model.milliseconds(shape, machines.H200)
            self.assertAlmostEqual(self.facts["milliseconds"][shape.key()] / predicted, 1, delta=0.15,
                                   msg=shape.key())

    def test_gives_the_times_of_whole_chains(self):
        """Of the kernel of today, which it was not calibrated with, and of the split form: within 15 %."""
        model = predict.Model()
        for blocks, form in ((1, "block"), (2, "split")):
            for heads, found in self.facts["exact"][form].items():
                predicted = model.exact_milliseconds(int(heads), machines.H200, blocks)
                self.assertAlmostEqual(found / predicted, 1, delta=0.15, msg=f"{form} {heads}")


class Sources(unittest.TestCase):
    def constant(self, file, name):
        return int(re.search(rf"\b{name} = (\d+);", read(SOURCES / file)).group(1))

    def test_protocol_has_the_kernels_numbers(self):
        protocol = pipeline.Protocol()
        self.assertEqual(protocol.stages, self.constant("config.hpp", "kStages"))
        self.assertEqual(protocol.scores, self.constant("config.hpp", "kPairs"))
        self.assertEqual(protocol.scores_ahead, self.constant("config.hpp", "kScoresAhead"))

    def test_split_protocol_has_the_kernels_numbers(self):
        protocol = split_form.SplitProtocol()
        for number, name in ((protocol.own_stages, "kOwnStages"), (protocol.sent_stages, "kSentStages"),
                             (protocol.values, "kValueSlots"), (protocol.outs, "kOutSlots")):
            self.assertEqual(number, self.constant("split_roles.cuh", name), name)
        self.assertEqual(protocol.scores, self.constant("config.hpp", "kPairs"))
        self.assertEqual(protocol.stages, 2 * protocol.own_stages)

    def test_balance_has_the_kernels_numbers(self):
        self.assertEqual(shares.CHUNK, self.constant("config.hpp", "kChunk"))
        self.assertEqual(shares.REPLAY_COST, self.constant("balance.hpp", "kReplayCost"))
        self.assertEqual(shares.CHAIN_COST, self.constant("balance.hpp", "kChainCost"))
        self.assertEqual(shares.MIN_SHARE, self.constant("balance.hpp", "kMinReplayedShare"))

    def test_machines_are_those_of_the_document(self):
        rows = {}
        for line in read(machines.ROOT / "docs" / "performance.md").splitlines():
            cells = [cell.strip() for cell in line.split("|")[1:-1]]
            if len(cells) == 6:
                rows.setdefault(cells[0], cells[1:])
        for column, machine in ((1, machines.H20), (2, machines.H100), (3, machines.H200)):
            self.assertEqual(rows[""][column], machine.name)
            figures = [float(rows[name][column]) for name in (
                "multiprocessors", "clock, GHz", "memory, achievable TB/s",
                "mma.sync bf16, multiply-adds per clock and multiprocessor",
                "wgmma bf16, multiply-adds per clock and multiprocessor")]
            self.assertEqual(figures, [machine.multiprocessors, machine.clock, machine.memory,
                                       machine.mma, machine.wgmma])


class Arithmetic(unittest.TestCase):
    def test_a_lone_role_sets_the_pace(self):
        roles = {role: machines.Role(10.0, {"issue": 1.0}) for role in pipeline.ORDER}
        roles["prepare"] = machines.Role(1000.0, {"issue": 1.0})
        run = pipeline.simulate(roles, pipeline.Protocol(scores_ahead=0))
        self.assertAlmostEqual(run.cycles_per_chunk, 1000, delta=1)
        run = pipeline.simulate(roles, pipeline.Protocol(prepare_turns=2, scores_ahead=0))
        self.assertAlmostEqual(run.cycles_per_chunk, 500, delta=5)

    def test_a_full_resource_sets_the_pace(self):
        roles = {role: machines.Role(100.0, {"memory": 0.0}) for role in pipeline.ORDER}
        roles["load"] = machines.Role(100.0, {"memory": 700.0})
        run = pipeline.simulate(roles, pipeline.Protocol())
        self.assertAlmostEqual(run.cycles_per_chunk, 700, delta=10)
        self.assertAlmostEqual(run.busy["memory"], 1, delta=0.02)

    def test_the_slower_block_sets_the_pace(self):
        """Each block prepares every second chunk, and each recurrence sees every one."""
        names = {role for role, _ in self.split_roles()}
        for slow, period in (("prepare", 500), ("recurrence", 1000)):
            roles = {(name, block): machines.Role(1000.0 if (name, block) == (slow, 1) else 10.0, {})
                     for name in names for block in (0, 1)}
            run = pipeline.simulate(roles, split_form.SplitProtocol())
            self.assertAlmostEqual(run.cycles_per_chunk, period, delta=10, msg=slow)

    def split_roles(self):
        return split_form.make_roles(machines.counts_today("split"), machines.H200, 128,
                                     machines.Calibration())

    def test_nothing_removed_makes_it_slower(self):
        model = predict.Model()
        for machine in machines.MACHINES:
            for shape in predict.HEADLINE:
                self.assertGreaterEqual(model.binding(shape, machine)[-1][0], -0.03)

    def test_shares_hold_all_chunks(self):
        for machine in machines.MACHINES:
            for shape in predict.HEADLINE + predict.TEN:
                work = shares.lay_out(shape.lengths, shape.heads, machine.multiprocessors, True)
                chunks = sum(shares.cost(n) - shares.CHAIN_COST for n in shape.lengths) * shape.heads
                self.assertGreaterEqual(work.blocks * work.chunks, chunks, shape)

    def test_faster_memory_is_not_slower(self):
        model = predict.Model()
        slow = model.milliseconds(predict.HEADLINE[0], machines.H100)
        fast = model.milliseconds(predict.HEADLINE[0], replace(machines.H100, memory=6.0))
        self.assertLessEqual(fast, slow * 1.01)


if __name__ == "__main__":
    unittest.main()

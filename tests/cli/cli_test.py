"""Drives the real flash-kda binary: every subcommand, every kind of error, files left behind.

Usage: cli_test.py PATH_TO_FLASH_KDA [unittest arguments]. Standard library only.
"""

import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import safetensors_io as st

TOOL = None
OK, MISS, BAD_INPUT, UNSUPPORTED = 0, 1, 2, 3


class CliTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_tool(self, *arguments, **options):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FLASH_KDA_")}
        environment["CUDA_VISIBLE_DEVICES"] = ""  # the same answers with and without a GPU
        environment.update(options.pop("env", {}))
        return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True,
                              env=environment, timeout=300, **options)

    def good(self, *arguments, **options):
        result = self.run_tool(*arguments, **options)
        self.assertEqual(result.returncode, OK, result.stderr)
        return result.stdout

    def good_json(self, *arguments):
        return json.loads(self.good(*arguments, "--json"))

    def bad(self, code, message, *arguments, **options):
        """One line on stderr that names the problem, and that exit code."""
        result = self.run_tool(*arguments, **options)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        self.assertIn(message, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertTrue(result.stderr.startswith("flash-kda: "), result.stderr)

    def save(self, tensors, name="in.safetensors"):
        st.save(self.path(name), tensors)
        return self.path(name)

    def files(self):
        return sorted(os.listdir(self.folder))


class TopLevel(CliTest):
    def test_help_of_every_subcommand(self):
        text = self.good("--help")
        for name in ("info", "prefill", "verify", "bench", "plot"):
            self.assertIn(name, text)
            self.assertIn("--json", self.good(name, "--help"))
        self.assertIn("Exit codes", text)

    def test_version(self):
        self.assertRegex(self.good("--version"), r"^flash-kda \d+\.\d+\.\d+$")

    def test_bad_command_lines(self):
        self.bad(BAD_INPUT, "subcommand is required")
        self.bad(BAD_INPUT, "fly", "fly")
        self.bad(BAD_INPUT, "--sideways", "info", "--sideways")
        self.bad(BAD_INPUT, "--tokens", "info", "--tokens", "many")
        self.bad(BAD_INPUT, "--backend", "info", "--backend", "abacus")
        self.bad(BAD_INPUT, "--threads", "info", "--threads", "0")
        self.bad(BAD_INPUT, "--cuts", "info", "--cuts", "some")
        self.bad(BAD_INPUT, "--multiprocessors", "bench", "--multiprocessors", "0")
        self.bad(BAD_INPUT, "--v-panel", "info", "--v-panel", "32")
        self.bad(BAD_INPUT, "--v-panel", "bench", "--v-panel", "0")

    def test_full_disk_on_standard_output(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run([TOOL, "info"], stdout=full, stderr=subprocess.PIPE, text=True,
                                    check=False)
        self.assertEqual(result.returncode, BAD_INPUT)
        self.assertIn("standard output", result.stderr)


class Info(CliTest):
    def test_table(self):
        text = self.good("info")
        for word in ("flash-kda", "reference", "cpu", "supported", "plan for", "gate softplus"):
            self.assertIn(word, text)

    def test_json(self):
        info = self.good_json("info", "--backend", "reference", "--tokens", "77", "--heads", "3",
                              "--v-heads", "6", "--head-dim", "64", "--gate", "softplus",
                              "--state-dtype", "bf16", "--checkpoint-every", "16",
                              "--cuts", "exact", "--multiprocessors", "8",
                              "--v-panel", "64")
        self.assertRegex(info["version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual(info["plan"]["backend"], "reference")
        for part in ("B1 T77 H3 HV6 K64 V64", "softplus", "bf16", "every 16"):
            self.assertIn(part, info["plan"]["problem"])
        self.assertGreater(info["plan"]["workspace_bytes"], 0)
        self.assertTrue(info["plan"]["reason"])
        names = [backend["name"] for backend in info["backends"]]
        self.assertIn("reference", names)
        for feature in info["features"]:
            self.assertEqual(feature["reference"], "yes", feature)
        self.assertGreaterEqual(info["machine"]["logical_cpus"], 1)

    def test_bad_shapes(self):
        self.bad(BAD_INPUT, "lower_bound", "info", "--lower-bound", "0")
        self.bad(BAD_INPUT, "tokens", "info", "--tokens", "-1")
        self.bad(BAD_INPUT, "", "info", "--heads", "3", "--v-heads", "4")
        self.bad(BAD_INPUT, "", "info", "--tokens", "9000000000000000000", "--heads", "1000000")


class Prefill(CliTest):
    def prefill(self, tensors, *options):
        self.good("prefill", self.save(tensors), "-o", self.path("out.safetensors"),
                  "--backend", "reference", *options)
        return st.load(self.path("out.safetensors"))

    def refuse(self, message, tensors, *options):
        source = tensors if isinstance(tensors, str) else self.save(tensors)
        before = self.files()
        self.bad(BAD_INPUT, message, "prefill", source, "-o", self.path("out.safetensors"),
                 "--backend", "reference", *options)
        self.assertEqual(self.files(), before)

    def test_writes_out_and_final_state(self):
        result = self.prefill(st.random_call(tokens=20, heads=2, v_heads=4))
        self.assertEqual(sorted(result), ["final_state", "out"])
        self.assertEqual(result["out"][:2], ("BF16", [1, 20, 4, 64]))
        self.assertEqual(result["final_state"][:2], ("F32", [1, 4, 64, 64]))
        self.assertEqual(self.files(), ["in.safetensors", "out.safetensors"])

    def test_one_token_by_hand(self):
        """No gate, no norm: S = beta v k^T and out = scale S q, exact in these numbers."""
        dim = 64
        one = {"q": ("F32", [1, 1, 1, dim], [1.0] + [0.0] * (dim - 1)),
               "k": ("F32", [1, 1, 1, dim], [0.5] + [0.0] * (dim - 1)),
               "v": ("F32", [1, 1, 1, dim], [float(i) for i in range(dim)]),
               "g": ("F32", [1, 1, 1, dim], [0.0] * dim),
               "beta": ("F32", [1, 1, 1], [0.5])}
        options = ("--gate", "log", "--qk-l2norm", "off", "--beta", "activated", "--scale", "2")
        result = self.prefill(one, *options)
        self.assertEqual(result["out"][2], [0.5 * i for i in range(dim)])
        state = result["final_state"][2]
        self.assertEqual(state[::dim], [0.25 * i for i in range(dim)])  # [V, K], K = 0
        result = self.prefill(one, *options, "--state-layout", "kv", "--neg-eigval")
        self.assertEqual(result["final_state"][2][:dim], [0.5 * i for i in range(dim)])

    def test_options_reach_the_library(self):
        call = st.random_call(tokens=9)
        plain = self.prefill(call)["out"][2]
        for options in (["--gate", "softplus"], ["--lower-bound", "-1"], ["--scale", "1"],
                        ["--qk-l2norm", "off"], ["--beta", "activated"], ["--neg-eigval"]):
            self.assertNotEqual(self.prefill(call, *options)["out"][2], plain, options)
        state = self.prefill(call, "--state-dtype", "bf16")["final_state"]
        self.assertEqual(state[0], "BF16")

    def test_checkpoints_of_packed_sequences(self):
        call = st.random_call(tokens=25)
        call["cu_seqlens"] = ("I64", [5], [0, 10, 10, 13, 25])
        result = self.prefill(call, "--checkpoint-every", "5")
        # floor(10 / 5) + 0 + 0 + floor(12 / 5)
        self.assertEqual(result["checkpoints"][1], [4, 1, 64, 64])
        self.assertEqual(result["final_state"][1], [4, 1, 64, 64])
        size = 64 * 64
        self.assertEqual(result["checkpoints"][2][size:2 * size],
                         result["final_state"][2][:size])

    def test_state_carries_over(self):
        call = st.random_call(tokens=12, dtype="F32")
        whole = self.prefill(call)
        def cut(begin, end):
            part = {}
            for name, (dtype, shape, values) in call.items():
                row = len(values) // shape[1]
                part[name] = (dtype, [1, end - begin] + shape[2:], values[begin * row:end * row])
            return part
        first = self.prefill(cut(0, 5))
        rest = cut(5, 12)
        rest["initial_state"] = first["final_state"]
        second = self.prefill(rest)
        # fp32 rounding of the carried state only: 2^-24 relative, 1e-5 leaves room for sums of 64.
        for a, b in zip(whole["final_state"][2], second["final_state"][2]):
            self.assertAlmostEqual(a, b, delta=1e-5)

    def test_no_tokens(self):
        result = self.prefill(st.random_call(tokens=0))
        self.assertEqual(result["out"][1], [1, 0, 1, 64])
        self.assertEqual(set(result["final_state"][2]), {0.0})

    def test_nan_goes_through(self):
        call = st.random_call(tokens=4, heads=2)
        call["v"][2][0] = float("nan")
        out = self.prefill(call)["out"][2]
        head = [value for token in range(4) for value in out[token * 128 + 64:token * 128 + 128]]
        self.assertTrue(any(value != value for value in out))
        self.assertTrue(all(value == value for value in head))

    def test_json(self):
        report = json.loads(self.good("prefill", self.save(st.random_call()), "-o",
                                      self.path("o"), "--backend", "reference", "--json"))
        self.assertEqual(report["tokens"], 20)
        self.assertEqual([t["name"] for t in report["tensors"]], ["out", "final_state"])

    def test_unused_tensor_is_mentioned(self):
        call = st.random_call()
        call["a_log"] = ("F32", [1], [0.0])
        result = self.run_tool("prefill", self.save(call), "-o", self.path("o"),
                               "--backend", "reference")
        self.assertEqual(result.returncode, OK)
        self.assertIn('"a_log" is not used', result.stderr)

    def test_over_its_own_input(self):
        source = self.save(st.random_call())
        self.good("prefill", source, "-o", source, "--backend", "reference")
        self.assertIn("out", st.load(source))

    def test_missing_tensors_and_wrong_shapes(self):
        for name in ("q", "k", "v", "g", "beta"):
            call = st.random_call()
            del call[name]
            self.refuse(f"{name}: the tensor is missing", call)
        call = st.random_call()
        call["q"] = ("BF16", [20, 64], call["q"][2])
        self.refuse("q: expected [B, T, H, K], got [20, 64]", call)
        for name in ("k", "v", "g", "beta"):
            call = st.random_call()
            dtype, shape, values = call[name]
            call[name] = (dtype, [1, 19] + shape[2:], values[:len(values) * 19 // 20])
            self.refuse(f"{name}: ", call)
        call = st.random_call(heads=2)
        call["v"] = ("BF16", [1, 20, 3, 64], [0.0] * 20 * 3 * 64)
        self.refuse("v_heads", call)

    def test_wrong_dtypes(self):
        call = st.random_call()
        call["k"] = ("F32",) + call["k"][1:]
        self.refuse("k: ", call)
        call = st.random_call()
        call["q"] = ("F64",) + call["q"][1:]
        self.refuse('dtype "F64" is not supported', call)
        call = st.random_call()
        call["A_log"] = ("BF16", [1], [0.0])
        self.refuse("A_log: ", call)
        call = st.random_call()
        call["g"] = ("F16",) + call["g"][1:]
        self.refuse("g", call)

    def test_wrong_states_and_parameters(self):
        call = st.random_call()
        call["initial_state"] = ("BF16", [1, 1, 64, 64], [0.0] * 4096)
        self.refuse("initial_state: expected F32", call, "--state-dtype", "fp32")
        call["initial_state"] = ("F32", [2, 1, 64, 32], [0.0] * 4096)
        self.refuse("initial_state: ", call)
        call = st.random_call()
        call["dt_bias"] = ("F32", [3], [0.0] * 3)
        self.refuse("dt_bias: ", call)
        call = st.random_call()
        call["A_log"] = ("F32", [1], [0.0])
        self.refuse("A_log", call, "--gate", "log")

    def test_wrong_sequences(self):
        for values, message in (([0, 12, 7], "never fall"), ([0, 5, 21], "0 to T=20"),
                                ([-1, 5, 20], "got -1"), ([3, 5, 20], "cu_seqlens")):
            for dtype in ("I32", "I64"):
                call = st.random_call()
                call["cu_seqlens"] = (dtype, [3], values)
                self.refuse(message, call)
        call["cu_seqlens"] = ("F32", [2], [0.0, 20.0])
        self.refuse("cu_seqlens: expected I32 or I64, got F32", call)
        call["cu_seqlens"] = ("I64", [0], [])
        self.refuse("cu_seqlens: expected [N + 1]", call)
        call = st.random_call(batch=2)
        call["cu_seqlens"] = ("I64", [2], [0, 20])
        self.refuse("batch", call)

    def test_wrong_options(self):
        call = st.random_call()
        self.refuse("lower_bound", call, "--lower-bound", "0")
        self.refuse("lower_bound", call, "--lower-bound", "nan")
        self.refuse("scale", call, "--scale", "inf")
        self.refuse("--checkpoint-every", call, "--checkpoint-every", "0")
        self.refuse("--gate", call, "--gate", "garden")

    def test_broken_files(self):
        self.refuse("cannot read", self.path("absent"))
        self.refuse("not a regular file", self.folder)
        good = st.file_bytes(st.random_call())
        for name, data, message in (
                ("empty", b"", "0 bytes"),
                ("short", good[:-1], "outside the"),
                ("long", good + b"x", "bytes of data"),
                ("huge_header", struct.pack("<Q", 1 << 62) + good[8:], "above the limit"),
                ("header_over_file", struct.pack("<Q", 90_000_000) + good[8:], "above the"),
                ("garbage", b"\x10" + b"\0" * 7 + b"\xff" * 30, "does not start with")):
            with open(self.path(name), "wb") as file:
                file.write(data)
            self.refuse(message, self.path(name))

    def test_output_that_cannot_be_written(self):
        source = self.save(st.random_call())
        for target in ("/dev/full", self.folder, self.path("no/such/folder/o"), ""):
            self.bad(BAD_INPUT, "cannot write", "prefill", source, "-o", target,
                     "--backend", "reference")
        self.assertEqual(self.files(), ["in.safetensors"])

    def test_output_that_outgrows_the_disk(self):
        """A file size limit stands in for a full disk: write() fails half way."""
        source = self.save(st.random_call(tokens=50))
        with open(self.path("out"), "w", encoding="ascii") as file:
            file.write("old")
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        self.bad(BAD_INPUT, "cannot write", "prefill", source, "-o", self.path("out"),
                 "--backend", "reference", preexec_fn=limit)
        self.assertEqual(self.files(), ["in.safetensors", "out"])
        with open(self.path("out"), encoding="ascii") as file:
            self.assertEqual(file.read(), "old")

    def test_backend_that_is_not_there(self):
        self.bad(UNSUPPORTED, "cuda", "prefill", self.save(st.random_call()), "-o",
                 self.path("o"), "--backend", "cuda")
        self.assertEqual(self.files(), ["in.safetensors"])


class Verify(CliTest):
    def test_list(self):
        cases = self.good_json("verify", "--list")
        self.assertGreater(len(cases), 50)
        self.assertIn(cases[0]["case"], self.good("verify", "--list"))

    def test_one_case(self):
        name = self.good_json("verify", "--list")[0]["case"]
        report = self.good_json("verify", "--backend", "reference", "--case", name, "--seed", "5")
        self.assertEqual((report["passed"], report["failed"], report["seed"]), (1, 0, 5))
        (row,) = report["rows"]
        self.assertEqual(row["case"], name)
        self.assertLessEqual(row["out"]["head"]["error"], row["out"]["head"]["limit"])
        self.assertIn("v_head", row["out"]["head"])
        self.assertIn("1 passed, 0 failed", self.good("verify", "--backend", "reference",
                                                      "--case", name))

    def test_file(self):
        source = self.save(st.random_call(tokens=40, heads=2))
        report = self.good_json("verify", "--backend", "reference", "--input", source)
        self.assertEqual(report["passed"], 1)

    def test_bad_input(self):
        self.bad(BAD_INPUT, "no-such-case", "verify", "--case", "no-such-case")
        self.bad(BAD_INPUT, "cannot read", "verify", "--input", self.path("absent"))
        self.bad(BAD_INPUT, "--case", "verify", "--case", "a", "--input", "b")
        self.bad(UNSUPPORTED, "backend", "verify", "--backend", "cuda", "--case", "long")


class Bench(CliTest):
    SMALL = ("bench", "--backend", "reference", "--tokens", "20", "--heads", "1", "--head-dim",
             "64", "--threads", "1", "--repeats", "3", "--min-time", "0", "--no-peaks")

    def test_report(self):
        report = self.good_json(*self.SMALL)
        for name in ("cpu", "cores", "flags", "compiler", "date", "version"):
            self.assertIn(name, report["machine"])
        (row,) = report["rows"]
        for name in ("threads", "B", "T", "H", "HV", "K", "V", "median_ms", "p10_ms", "p90_ms",
                     "gflops", "token_heads_per_second", "gbs"):
            self.assertIsInstance(row[name], (int, float), name)
        self.assertIn("percent_of_peak", row)
        self.assertEqual((row["backend"], row["precision"]), ("reference", "fp32"))
        self.assertEqual((row["T"], row["H"], row["K"]), (20, 1, 64))
        self.assertLessEqual(row["p10_ms"], row["median_ms"])
        self.assertLessEqual(row["median_ms"], row["p90_ms"])
        flop = 7 * 64 * 64 * 20
        self.assertAlmostEqual(row["gflops"], flop / row["median_ms"] / 1e6, places=6)

    def test_file_and_comparison(self):
        report = self.path("bench.json")
        self.assertIn("t20-h1-d64", self.good(*self.SMALL, "--json", report))
        text = self.good(*self.SMALL, "--compare", report)
        self.assertIn("1 matching rows", text)
        comparison = self.good_json(*self.SMALL, "--compare", report)["comparison"]
        self.assertAlmostEqual(comparison[0]["speedup"],
                               comparison[0]["old_ms"] / comparison[0]["new_ms"])

    def test_packed_shape_and_list(self):
        report = self.good_json(*self.SMALL, "--sequences", "3")
        self.assertEqual(report["rows"][0]["lengths"], [6, 7, 7])
        self.assertIn("t8192-h8", self.good("bench", "--list"))
        self.assertGreater(len(self.good_json("bench", "--list")), 20)

    def test_bad_input(self):
        self.bad(BAD_INPUT, "nonesuch", "bench", "--shape", "nonesuch")
        self.bad(BAD_INPUT, "cannot write", *self.SMALL, "--json", self.path("no/folder"))
        self.bad(BAD_INPUT, "cannot read", *self.SMALL, "--compare", self.path("absent"))
        for text in ("{", "[]", '{"rows": 1}', '{"rows": [1]}', '{"rows": [{"T": "x"}]}'):
            with open(self.path("old.json"), "w", encoding="ascii") as file:
                file.write(text)
            self.bad(BAD_INPUT, "not a report", *self.SMALL, "--compare", self.path("old.json"))
        self.bad(BAD_INPUT, "head", *self.SMALL, "--v-heads", "0")


class Plot(CliTest):
    def report(self):
        rows = []
        for threads in (1, 2):
            for tokens in (512, 8192):
                rows.append({"shape": f"t{tokens}", "backend": "cpu", "precision": "fp32",
                             "threads": threads, "B": 1, "T": tokens, "H": 8, "HV": 8, "K": 128,
                             "V": 128, "median_ms": tokens / 100 / threads, "p10_ms": 1.0,
                             "p90_ms": 9.0, "gflops": 80.0 * threads, "percent_of_peak": 70.0,
                             "gate": "lower-bound", "flop_per_byte": 80.0, "lengths": []})
        peaks = [{"threads": 1, "fma_gflops": 114.0, "bf16_gflops": 229.0, "copy_gbs": 20.0}]
        return {"machine": {"cpu": "<a & b>", "cores": 2, "version": "0", "date": "today",
                            "peaks": peaks}, "rows": rows}

    def write(self, report, name="bench.json"):
        with open(self.path(name), "w", encoding="ascii") as file:
            json.dump(report, file)
        return self.path(name)

    def test_svg(self):
        self.good("plot", self.write(self.report()), "-o", self.path("p.svg"))
        root = xml.etree.ElementTree.parse(self.path("p.svg")).getroot()
        texts = [element.text for element in root.iter() if element.tag.endswith("text")]
        for text in ("Roofline", "cpu fp32, 2 threads", "t8192", "fp32 FMA, 1T"):
            self.assertIn(text, texts)
        self.assertTrue(any("<a & b>" in text for text in texts))
        for element in root.iter():
            for value in element.attrib.values():
                self.assertNotIn("nan", value)
                self.assertNotIn("inf", value)

    def test_a_report_without_extras(self):
        report = self.report()
        del report["machine"]
        for row in report["rows"]:
            del row["flop_per_byte"], row["gate"], row["percent_of_peak"], row["lengths"]
        self.assertEqual(self.good_json("plot", self.write(report), "-o",
                                        self.path("p.svg"))["rows"], 4)

    def test_png(self):
        arguments = ("plot", self.write(self.report()), "-o", self.path("p.png"))
        self.bad(UNSUPPORTED, "librsvg2-bin", *arguments, env={"PATH": "/nowhere"})
        self.assertEqual(self.files(), ["bench.json"])
        result = self.run_tool(*arguments)
        if result.returncode == UNSUPPORTED:
            self.skipTest("rsvg-convert is not installed")
        self.assertEqual(result.returncode, OK, result.stderr)
        with open(self.path("p.png"), "rb") as file:
            self.assertEqual(file.read(4), b"\x89PNG")

    def test_bad_input(self):
        report = self.write(self.report())
        self.bad(BAD_INPUT, ".svg or .png", "plot", report, "-o", self.path("p.pdf"))
        self.bad(BAD_INPUT, "cannot read", "plot", self.path("no"), "-o", self.path("p.svg"))
        self.bad(BAD_INPUT, "no rows", "plot", self.write({"rows": []}, "e"), "-o",
                 self.path("p.svg"))
        wrong = self.report()
        wrong["machine"]["cpu"] = 7
        self.bad(BAD_INPUT, "type", "plot", self.write(wrong, "w"), "-o", self.path("p.svg"))
        self.bad(BAD_INPUT, "cannot write", "plot", report, "-o", self.path("no/p.svg"))


if __name__ == "__main__":
    TOOL = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)

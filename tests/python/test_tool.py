"""python -m flash_kda, and tools/report.py on what it writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flash_kda.tool import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(capsys):
    def call(*arguments):
        try:
            code = main(list(arguments))
        except SystemExit as end:  # argparse
            code = end.code
        return code, *capsys.readouterr()
    return call


def test_as_a_program():
    done = subprocess.run([sys.executable, "-m", "flash_kda", "info"], capture_output=True, text=True)
    assert done.returncode == 0 and "FlashKDA" in done.stdout, done.stderr


def test_info(tool):
    code, out, _ = tool("info", "--json", "--tokens", "100", "--heads", "2")
    report = json.loads(out)
    assert code == 0 and report["devices"][0]["device"] == "cpu" and report["devices"][0]["supported"]


def test_verify(tool):
    code, out, _ = tool("verify", "--json", "--device", "cpu")
    rows = json.loads(out)["rows"]
    assert code == 0 and len(rows) == 28 and all(row["verdict"] == "ok" for row in rows)
    assert "packed-states" in tool("verify", "--list")[1]


def test_wrong_use_has_exit_code_2(tool):
    for arguments in (["verify", "--case", "no-such"], ["verify", "--device", "tpu"], ["fly"], []):
        code, _, err = tool(*arguments)
        assert code == 2 and err


def test_bench_and_report(tool, tmp_path):
    bench, overhead, page = (tmp_path / name for name in ("bench.json", "overhead.json", "report.html"))
    code, _, err = tool("bench", "--tokens", "64", "128", "--heads", "1", "--threads", "1", "--rounds",
                        "2", "--json", str(bench), "--only-library", "--device", "cpu")
    assert code == 0, err
    rows = json.loads(bench.read_text())["rows"]
    assert [(row["T"], row["precision"]) for row in rows] == [(64, "fp32"), (64, "bf16"),
                                                             (128, "fp32"), (128, "bf16")]
    assert tool("bench", "--overhead", "--rounds", "1", "--json", str(overhead))[0] == 0
    report = [sys.executable, str(ROOT / "tools/report.py")]
    subprocess.run([*report, str(bench), str(overhead), "-o", str(page)], check=True)
    text = page.read_text()
    assert text.count("<polyline") == 2 and "one token" in text
    assert "http" not in text.replace("http://www.w3.org", "")
    (tmp_path / "bad.json").write_text('{"rows": [{}]}')
    bad = subprocess.run([*report, str(tmp_path / "bad.json")], capture_output=True, text=True)
    assert bad.returncode != 0 and "not a report of bench" in bad.stderr

"""python -m flash_kda, and tools/report.py on what it writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def tool(*arguments, **environment):
    return subprocess.run([sys.executable, "-m", "flash_kda", *arguments], capture_output=True,
                          text=True, env={**os.environ, **environment})


def test_info():
    done = tool("info", "--json", "--tokens", "100", "--heads", "2")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["devices"][0]["device"] == "cpu" and report["devices"][0]["supported"]
    assert "FlashKDA" in tool("info").stdout


def test_verify():
    done = tool("verify", "--json", "--device", "cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) == 28 and all(row["verdict"] == "ok" for row in rows)
    assert "packed-states" in tool("verify", "--list").stdout


def test_wrong_use_has_exit_code_2():
    for arguments in (["verify", "--case", "no-such"], ["verify", "--device", "tpu"], ["fly"], []):
        done = tool(*arguments)
        assert done.returncode == 2 and done.stderr


def test_bench_and_report(tmp_path):
    bench, overhead, page = (tmp_path / name for name in ("bench.json", "overhead.json", "report.html"))
    done = tool("bench", "--tokens", "64", "128", "--heads", "1", "--threads", "1", "--rounds", "2",
                "--json", str(bench), "--only-library")
    assert done.returncode == 0, done.stderr
    rows = json.loads(bench.read_text())["rows"]
    assert [(row["T"], row["precision"]) for row in rows] == [(64, "fp32"), (64, "bf16"),
                                                             (128, "fp32"), (128, "bf16")]
    assert tool("bench", "--overhead", "--json", str(overhead)).returncode == 0
    report = [sys.executable, str(ROOT / "tools/report.py")]
    subprocess.run([*report, str(bench), str(overhead), "-o", str(page)], check=True)
    text = page.read_text()
    assert text.count("<polyline") == 2 and "one token" in text
    assert "http" not in text.replace("http://www.w3.org", "")
    (tmp_path / "bad.json").write_text('{"rows": [{}]}')
    bad = subprocess.run([*report, str(tmp_path / "bad.json")], capture_output=True, text=True)
    assert bad.returncode != 0 and "not a report of bench" in bad.stderr

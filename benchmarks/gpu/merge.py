"""One file of bench.py's results from several, of one GPU model and commit.

    python benchmarks/gpu/merge.py first.json second.json -o benchmarks/results/h200.json

What a later file holds of a case and method replaces the earlier file's.
"""

import argparse
import json
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    merged = None
    for path in options.files:
        data = json.loads(Path(path).read_text())
        if merged is None:
            merged = data
            continue
        for key in ("gpu", "commit"):
            if data["machine"][key] != merged["machine"][key]:
                raise SystemExit(f"{path}: {key} is {data['machine'][key]}, expected {merged['machine'][key]}")
        newer = {(row["case"], row["method"]) for row in data["rows"]}
        merged["rows"] = [row for row in merged["rows"] if (row["case"], row["method"]) not in newer] + data["rows"]
    Path(options.output).write_text(json.dumps(merged, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""These tests need an installed flash-linear-attention (fla-core); tools/test_python.sh runs them once
for each version that it supports, and without one they are skipped."""

import importlib.util
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
collect_ignore_glob = [] if importlib.util.find_spec("fla") else ["test_*.py"]

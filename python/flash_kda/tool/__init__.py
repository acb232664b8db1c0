"""The command-line tool on PyTorch tensors: python -m flash_kda info|verify|bench."""

from __future__ import annotations

import argparse
import sys


def main(arguments=None) -> int:
    """Exit codes: 0 all right, 1 a result is wrong, 2 it could not be done as asked."""
    try:
        import torch  # noqa: F401
    except ImportError:
        print("python -m flash_kda needs PyTorch: pip install torch", file=sys.stderr)
        return 2
    from . import bench, info, verify

    parser = argparse.ArgumentParser(
        prog="python -m flash_kda", description="Kimi Delta Attention prefill on PyTorch tensors")
    commands = parser.add_subparsers(dest="command", required=True)
    for module in (info, verify, bench):
        name = module.__name__.rsplit(".", 1)[1]
        command = commands.add_parser(name, help=module.__doc__.splitlines()[0],
                                      description=module.__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, TypeError, NotImplementedError, RuntimeError, OSError) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 2

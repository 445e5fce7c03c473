"""All benchmarks, one after the other: ``make bench``. Each is a module with a ``--help`` of its own."""

import subprocess
import sys

NAMES = ("sweep", "selection", "scaling", "subspace_removal", "context_memory", "toy_models", "verdicts", "calibration")


def main() -> None:
    for name in NAMES:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()

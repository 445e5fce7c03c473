"""All benchmarks, one after the other: ``make bench``. Each is a module with a ``--help`` of its own."""

import subprocess
import sys

NAMES = ("sweep", "selection", "scaling", "toy_models", "calibration", "verdicts", "subspace_removal")


def main() -> None:
    for name in NAMES:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()

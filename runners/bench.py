"""Print how fast training, clustering and encoding are here: python -m runners.bench (on a quiet machine)"""

import os
import sys

from runners import OneLineParser, main, start_tensorflow


def run() -> None:
    parser = OneLineParser(prog="bench")
    parser.add_argument("--images", type=int, default=70_000, help="number of images")
    arguments = parser.parse_args()
    load, cores = os.getloadavg()[0], os.cpu_count()
    if load > 0.3 * cores:
        print(
            f"warning: the machine is busy (a load of {load:.1f} on {cores} cores): times mean little", file=sys.stderr
        )
    start_tensorflow()
    from deepcluster_tf import benchmark

    for what, value, unit in benchmark.measure(arguments.images):
        print(f"{what:<48} {value:>12,.1f} {unit}")


if __name__ == "__main__":
    main(run)

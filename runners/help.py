"""List targets, or one target's variables: python -m runners.help [TARGET ...]"""

import sys

from deepcluster_tf.command import main, targets


def run() -> None:
    """Print the overview, or the help of each target that is named."""
    named = sys.argv[1:]
    print("\n\n".join(map(targets.help_of, named)) if named else targets.overview())


if __name__ == "__main__":
    main(run)

"""What `make` calls: each runner parses, calls and prints."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable


class OneLineParser(argparse.ArgumentParser):
    """Refuses in one line, without the usage text, because the user typed a `make` command."""

    def error(self, message):
        sys.exit(f"error: {message} (make help lists targets and variables)")


def main(run: Callable[[], None]) -> None:
    """Call a runner; a user's mistake or a failing machine is one line on stderr, and no traceback."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's own chatter at the start
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    from deepcluster_tf.datasets import DataError

    try:
        run()
    except (ValueError, DataError, OSError, FloatingPointError, RuntimeError) as error:
        if os.environ.get("TRACEBACK"):
            raise
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit("\ninterrupted: the same command goes on from the last checkpoint")

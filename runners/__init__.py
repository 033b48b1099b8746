"""What `make` calls: each runner parses, calls and prints."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable


class OneLineParser(argparse.ArgumentParser):
    """Refuses in one line, without the usage text, because the user typed a `make` command."""

    def error(self, message):
        sys.exit(f"error: {message} (make help lists targets and variables)")


def start_tensorflow() -> None:
    """Import TensorFlow and say what it runs on, without the dozen lines that it logs at its start."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)  # its C++ parts write to the descriptor
        try:
            import tensorflow as tf

            gpus = tf.config.list_physical_devices("GPU")
        except BaseException:
            chatter.seek(0)
            os.write(stderr, chatter.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    if shutil.which("nvidia-smi") and not gpus:
        sys.stderr.write(
            "warning: nvidia-smi is there, but TensorFlow found no GPU; TF_CPP_MIN_LOG_LEVEL=0 shows why\n"
        )
    names = ", ".join(tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus)
    print(f"TensorFlow {tf.__version__} on {names or f'{os.cpu_count()} processor cores, no GPU'}", file=sys.stderr)


def main(run: Callable[[], None]) -> None:
    """Call a runner; a user's mistake or a failing machine is one line on stderr, and no traceback."""
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    try:
        run()
    except Exception as error:
        foreseen = (ValueError, OSError, FloatingPointError, RuntimeError, MemoryError, zipfile.BadZipFile)
        own = sys.modules["tensorflow"].errors.OpError if "tensorflow" in sys.modules else ()  # such as a full disk
        if os.environ.get("TRACEBACK") or not isinstance(error, (*foreseen, own)):  # for developers
            raise
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit("\ninterrupted: the same command goes on from the last checkpoint, if there is one")

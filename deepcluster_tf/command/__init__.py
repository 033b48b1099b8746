"""What `make` and `deepcluster` call: parse, call, print.

Names and help need no package, as `make help` runs before there is any.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable

from deepcluster_tf import machine


def start_tensorflow() -> None:
    """Import TensorFlow and say what it runs on, without the dozen lines that it logs at its start."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ |= {**dict.fromkeys(machine.THREADS, str(machine.processors())), **machine.COMPILED}
    for name in ("TF_ENABLE_ONEDNN_OPTS", "KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):  # give other numbers
        os.environ.pop(name, None)
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)  # its C++ parts write to the descriptor
        try:
            from deepcluster_tf import fitting

            gpus = fitting.start()
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
    import tensorflow as tf

    from deepcluster_tf.machine import processors

    where = ", ".join(gpus) or f"{processors()} processor cores, no GPU"
    print(f"TensorFlow {tf.__version__} on {where}", file=sys.stderr)


def main(run: Callable[[], None]) -> None:
    """Call a runner; a user's mistake or a failing machine is one line on stderr, and no traceback."""
    _open_streams()
    for name in ("SIGTERM", "SIGHUP"):  # stop as Ctrl-C does; but a HUP that nohup has switched off stays so
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_DFL:
            signal.signal(getattr(signal, name), signal.default_int_handler)
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    try:
        run()
        sys.stdout.flush()
    except Exception as error:
        foreseen = (ValueError, OSError, FloatingPointError, RuntimeError, MemoryError, zipfile.BadZipFile)
        own = sys.modules["tensorflow"].errors.OpError if "tensorflow" in sys.modules else ()  # such as a full disk
        if os.environ.get("TRACEBACK") or not isinstance(error, (*foreseen, own)):  # for developers
            raise
        _end(f"error: {' '.join(str(error).split()) or type(error).__name__}")
    except KeyboardInterrupt:
        _end("\ninterrupted: the same command goes on from the last checkpoint, if there is one")


def _open_streams() -> None:
    """Let a closed or a plain ASCII terminal stop nothing: what it cannot show is replaced, or not shown."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:  # closed by who called us; another file must not take its number
            descriptor = os.open(os.devnull, os.O_WRONLY)
            if descriptor != number:
                os.dup2(descriptor, number)
            setattr(sys, name, os.fdopen(number, "w", closefd=False))
        getattr(sys, name).reconfigure(errors="replace")


def _end(message: str) -> None:
    with contextlib.suppress(OSError):  # who reads us may be gone
        print(message, file=sys.stderr, flush=True)
    with contextlib.suppress(OSError):
        sys.stdout.close()
    sys.exit(1)

"""What every fit shares: data on the device, the order of the rows, the loop, callbacks, checkpoints, devices."""

from deepcluster_tf.fitting.callbacks import (
    Draws,
    EarlyStopping,
    FiniteLoss,
    History,
    Progress,
    Readings,
    iterations_of,
)
from deepcluster_tf.fitting.checkpoints import count_of
from deepcluster_tf.fitting.devices import (
    draws_kept,
    replicas,
    require_usual_keras,
    scope,
    seed_everything,
    start,
    strategy,
)
from deepcluster_tf.fitting.features import STEP, kept_arrays, kept_features
from deepcluster_tf.fitting.loop import batched, steps_per_call, train
from deepcluster_tf.fitting.order import ordered_rows, rows_between, shuffled_rows
from deepcluster_tf.fitting.resident import ResidentModel, reordered

__all__ = [
    "Draws",
    "EarlyStopping",
    "FiniteLoss",
    "History",
    "Progress",
    "Readings",
    "STEP",
    "ResidentModel",
    "batched",
    "count_of",
    "draws_kept",
    "iterations_of",
    "kept_arrays",
    "kept_features",
    "ordered_rows",
    "reordered",
    "replicas",
    "require_usual_keras",
    "rows_between",
    "scope",
    "seed_everything",
    "shuffled_rows",
    "start",
    "steps_per_call",
    "strategy",
    "train",
]

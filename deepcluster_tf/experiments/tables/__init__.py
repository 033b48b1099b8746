"""The tables and their rows: a row says which runs it shows, by which of their clusterings, and so how it is made."""

from deepcluster_tf.experiments.tables.beyond import BESIDE, FROM_NOTHING, LABELS, NAMED_PICTURES, PRETRAINED, UNEVEN
from deepcluster_tf.experiments.tables.documents import AUTOENCODERS, CIFAR, NAMES, SUPERVISION

_ALL = (
    *(SUPERVISION, AUTOENCODERS, NAMES, CIFAR),
    *(PRETRAINED, *FROM_NOTHING, UNEVEN, BESIDE, *LABELS, *NAMED_PICTURES),
)
TABLES = {table.name: table for table in _ALL}

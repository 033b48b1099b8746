"""Pages to look at, which open from the disk without a network: one of all that is recorded, one of a run.

`overview.py` makes the first, `one_run.py` the second; `page/` holds what a browser carries out.
"""

from deepcluster_tf.reporting.report.one_run import write_run
from deepcluster_tf.reporting.report.overview import page, write

__all__ = ["page", "write", "write_run"]

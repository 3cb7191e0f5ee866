"""Many files, elsewhere: a process for each device, actors on a cluster."""

from mirfeat.distributed.cluster import extract_dataset
from mirfeat.distributed.devices import extract_on_devices

__all__ = ["extract_dataset", "extract_on_devices"]

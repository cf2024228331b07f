"""What lies between the stages: records, manifests and stores. The only place that knows zarr or h5py.

`open_store(path)` gives a store with `ids()`, `info(id)`, `read(id)` and `writer(id, fingerprint)`.
"""

from .ids import entry_id
from .opening import create_store, open_store
from .store import Store

__all__ = ["Store", "create_store", "entry_id", "open_store"]

"""Checkpoints of holdfast in Python: what a C++ program saved goes on in PyTorch, and back.

    model.load_state_dict(holdfast.to_state_dict("run.h5"))
    optimizer.load_state_dict(holdfast.optimizer_state_dict("run.h5"))

    holdfast.from_state_dict("run.h5", model=model, optimizer=optimizer)
"""

from ._read import Entry, Table, inspect, to_numpy
from ._seal import IntegrityError, Verified, verify
from ._torch import from_state_dict, optimizer_state_dict, to_state_dict

__all__ = ["Entry", "IntegrityError", "Table", "Verified", "from_state_dict", "inspect", "optimizer_state_dict", "to_numpy", "to_state_dict", "verify"]

"""Which errors mean that memory ran out: libraries of a GPU say so in many ways."""

import re

SAID = re.compile(
    r"out of memory"  # CUDA's own, which is no OutOfMemoryError where it is not the allocator's
    r"|ALLOC(ATION)?_FAILED"  # the longer word is that of cuDNN from 9 on
    r"|CUBLAS_STATUS_NOT_INITIALIZED|CUDNN_STATUS_NOT_INITIALIZED"  # no room for a workspace
    r"|(FIND|GET) was unable to find an engine|Unable to find a valid cuDNN algorithm"
    r"|can't allocate memory|not enough memory|std::bad_alloc|Cannot allocate memory",
    re.IGNORECASE,
)
"""What PyTorch, CUDA, cuBLAS, cuDNN and C++ say of it in a RuntimeError or an OSError."""


def of_memory(error: BaseException) -> bool:
    """Say whether an error means that a device's or the machine's memory did not suffice."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, (RuntimeError, OSError)) and bool(SAID.search(str(error)))

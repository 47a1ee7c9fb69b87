"""Owns the check that this process may open as many files as it will need.

Whoever runs short of them later fails in odd ways: gRPC ends the whole process, Triton takes its
own port for somebody else's, and files seem damaged that only could not be opened.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource

from serve.errors import ServerError

NUM_COMMAND = 32
"""Of a command: twice what any was seen to take."""
NUM_SERVERS = 256
"""Of servers and their supervisor: some 20 each, some 10 a server, and one a connection."""
NUM_CHANNEL = 16
"""Of a process's first gRPC channel: it takes 5, and as many again while it connects."""
REMEDY = "raise the limit with ulimit -n 1024, or close what this process has open"
_SHORT = (errno.EMFILE, errno.ENFILE)


def check_descriptors(num_needed: int) -> None:
    """Open as many files as will be needed, and close them.

    Raises:
        ServerError: If that is not possible, with the limit and the remedy.
    """
    with contextlib.ExitStack() as opened:
        for num_opened in range(num_needed):
            try:
                opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))
            except OSError as error:
                if error.errno not in _SHORT:
                    raise
                limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
                raise ServerError(
                    f"expected to open {num_needed} more files, got {num_opened} with the limit "
                    f"of {limit}; {REMEDY}"
                ) from error

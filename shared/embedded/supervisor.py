"""Runs one server and ends it when the process that asked for it is gone. Started as a script, stdlib only.

usage: supervisor.py PARENT_PID END_SIGNAL UID LOG COMMAND...

The parent holds the other end of stdin and never writes. Its end closes when the parent dies in whatever
way; where Linux has pidfds the parent's exit counts too, for a forked child may still hold the pipe. If the
supervisor itself is killed, Linux kills the server with it. UID -1 keeps the user.

Prints the server's pid. On the parent's death the server gets END_SIGNAL, and SIGKILL five seconds later.
Exits when the server has, and on Linux all its orphans too, as the server did.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_SECONDS = 5.0


def _die_with_supervisor() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _wait_for_orphans() -> None:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _wait_for_end_of(parent: int) -> None:
    watched: list[int] = [0]
    if sys.platform == "linux":
        try:
            watched.append(os.pidfd_open(parent))
        except ProcessLookupError:
            return
        except OSError:  # an old kernel: the pipe alone has to do
            pass
    select.select(watched, [], [])


def _end_with(parent: int, server: "subprocess.Popen[bytes]", end_signal: int) -> None:
    _wait_for_end_of(parent)
    server.send_signal(end_signal)
    try:
        server.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()


def main() -> int:
    """Run the command until it or the parent ends; returns the server's exit status."""
    parent, end_signal, uid = (int(word) for word in sys.argv[1:4])
    _adopt_orphans()
    with Path(sys.argv[4]).open("ab") as log:
        server = subprocess.Popen(  # noqa: S603  the command is the parent's
            sys.argv[5:],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_die_with_supervisor,  # noqa: PLW1509  the only thread so far
            user=None if uid == -1 else uid,
            group=None if uid == -1 else uid,
            extra_groups=None if uid == -1 else [],
        )
    os.write(1, f"{server.pid}\n".encode())
    os.close(1)
    threading.Thread(target=_end_with, args=(parent, server, end_signal), daemon=True).start()
    status = server.wait()
    _wait_for_orphans()
    return status


if __name__ == "__main__":
    sys.exit(main() & 0x7F)

"""How this process was started: alone, or as one of several that train together.

torchrun, SLURM's srun, Ray Train and `ostinato train --devices` (see `agent`) start processes, and pass them their ranks in
environment variables. Neither torch nor Lightning is loaded here.
"""

from __future__ import annotations

import os
import signal
import threading

OF_A_PEER = 3  # the exit status of a worker that stopped because another one did
OF_MEMORY = 4  # the exit status of a worker that ran out of memory; a restart may find enough
WATCHED = "OSTINATO_WATCHED"
_BY_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def is_launched() -> bool:
    """Whether this process was started by a launcher, as one of several that train together."""
    by_slurm = "SLURM_STEP_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1
    return by_slurm or is_by_torchrun()


def is_by_torchrun() -> bool:
    """Whether torchrun has started this process, or another launcher that sets the same variables."""
    return "TORCHELASTIC_RUN_ID" in os.environ or all(name in os.environ for name in _BY_VARIABLES)


def rank() -> int:
    """The number of this process in the run, from 0; known before the processes have connected."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) if is_launched() else 0


def launch_name() -> str | None:
    """The name that all processes of one launch share, restarted ones included; None if the launch has no name."""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    return None if name == "none" else name


def is_watched() -> bool:
    """Whether `ostinato train --devices` has started this process, and reports how it ends."""
    return WATCHED in os.environ


def stop_with_the_watcher() -> None:
    """In a worker: when the process that watches it is gone, ask this process to save and stop, as SIGTERM does."""
    if not is_watched():
        return

    def watch() -> None:
        try:
            while os.read(0, 1024):
                pass
        except OSError:
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="ostinato-watcher", daemon=True).start()

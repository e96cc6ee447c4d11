"""How this process was started: alone, or as one of several that train together.

torchrun, SLURM's srun, Ray Train and `ostinato train --devices` (see `agent`) start processes, and tell them by variables of the
environment who they are. Neither torch nor Lightning is loaded here.
"""

from __future__ import annotations

import os
import signal
import threading

OF_A_PEER = 3  # the status of a worker that stopped because another did
OF_MEMORY = 4  # of one for which there was not enough memory, which may be there at the next try
WATCHED = "OSTINATO_WATCHED"
_BY_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def is_launched() -> bool:
    """Whether this process is one of several that something has started to train together."""
    by_slurm = "SLURM_STEP_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1
    return by_slurm or is_by_torchrun()


def is_by_torchrun() -> bool:
    """Whether torchrun has started this process, or somebody who sets the same variables."""
    return "TORCHELASTIC_RUN_ID" in os.environ or all(name in os.environ for name in _BY_VARIABLES)


def rank() -> int:
    """The number of this process among those of a run, from 0; before they have found each other."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) if is_launched() else 0


def launch_name() -> str | None:
    """The name that all processes of one launch share, those started again among them; None where there is none."""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    return None if name == "none" else name


def is_watched() -> bool:
    """Whether `ostinato train --devices` has started this process, and tells what became of it."""
    return WATCHED in os.environ


def stop_with_the_watcher() -> None:
    """In a worker: asks this process to save and stop, as SIGTERM does, when the process that watches it is gone."""
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

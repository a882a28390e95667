"""The processes that train together: how many there are, how they start, and who speaks."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import torch
from accelerate import PartialState
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

MOST_ROW_MAKERS = 8


def the_processes() -> PartialState:
    """The processes that train together; whoever asks first decides on what they run."""
    return PartialState(cpu=not torch.cuda.is_available())


def say(text: str) -> None:
    """Print once, whatever the number of processes."""
    if the_processes().is_main_process:
        print(text, flush=True)


def row_makers() -> int:
    """Processes that make rows beside the one that trains. A GPU waits for rows; on a CPU they would take its cores."""
    if not torch.cuda.is_available():
        return 0
    cores = len(os.sched_getaffinity(0)) // the_processes().num_processes
    return int(max(0, min(MOST_ROW_MAKERS, cores - 1)))


def in_processes(count: int, program: str, arguments: Sequence[str]) -> int:
    """A module run with these arguments in several processes of this machine, which train together; its status."""
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    launch = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        run_id="train",
        max_restarts=0,
    )
    try:
        elastic_launch(launch, sys.executable)("-m", program, *arguments)
    except ChildFailedError:  # it has said why
        return 1
    return 0

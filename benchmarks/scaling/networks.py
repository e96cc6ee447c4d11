"""Networks whose constants are given by those who make or measured them, not measured here."""

from __future__ import annotations

from ostinato.insight.scaling import Link

_NCCL = "latency: a hop of a ring in NCCL's own model (`src/graph/tuning.cc`, protocol Simple)"
_TCP = (
    "latency: tens of microseconds, as messages of TCP take in one data centre (Barroso et al. 2017, *Attack of the killer "
    "microseconds*)"
)

GIVEN = (
    Link(25e-6, 1.25e9, name="10 Gbit/s Ethernet", source=f"bandwidth: IEEE 802.3ae, the line rate; {_TCP}"),
    Link(
        9.6e-6, 12.5e9, name="100 Gbit/s Ethernet", source=f"bandwidth: IEEE 802.3ba, the line rate; {_NCCL}, over RDMA"
    ),
    Link(9.6e-6, 50e9, name="400 Gbit/s InfiniBand", source=f"bandwidth: NDR, a port of four lanes; {_NCCL}"),
    Link(
        3.4e-6,
        450e9,
        name="NVLink 4",
        source=f"bandwidth: 900 GB/s of an H100 in both directions (NVIDIA's data sheet); {_NCCL}; one machine of 8",
    ),
)
NVLINK = GIVEN[-1]
IN_A_MACHINE = 8  # devices that NVLink joins

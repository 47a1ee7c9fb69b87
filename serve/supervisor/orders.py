"""Owns which servers a supervisor launches, of what it is asked to run."""

from __future__ import annotations

from serve.server import prepare
from serve.supervisor.config import SupervisorConfig
from serve.triton.launch import Order
from serve.triton.listening import Ports, choose_ports


def orders(config: SupervisorConfig) -> list[Order]:
    """Return a server for each replica, on ports that are free now and kept from then on.

    Raises:
        ServerError: If there is nothing to serve, no Triton, or a port is taken.
    """
    installation, repository = prepare(config.triton, config.repository)
    chosen: list[Ports] = []
    for number in range(config.num_replicas):
        port = config.grpc_port and config.grpc_port + number
        host = config.exposure.host
        chosen.append(choose_ports(port, http=config.http, host=host, others=chosen))
    return [Order(installation, repository, ports, config.exposure) for ports in chosen]

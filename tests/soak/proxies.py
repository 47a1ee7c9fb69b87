"""Stands between a client and a server, and lets bytes through as a bad network would."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.serve.fake_triton import fake_triton

Pass = Callable[[socket.socket, bytes], None]
"""Hands the client what the server sent, or not."""
_IS_REQUEST = 200
"""The client's greeting has fewer bytes, its greeting and a request have more."""
_LESS_THAN_ANSWER = 60
"""An answer has more bytes. Half of what comes at once may be the whole of the first of several."""


class Proxy:
    """Listens on a free port, and passes on what comes, as the test says."""

    def __init__(self, target: str, make_pass: Callable[[Proxy], Pass]) -> None:
        host, port = target.split(":")
        self._target = (host, int(port))
        self._pass = make_pass(self)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.num_from_client: dict[socket.socket, int] = {}
        self.is_closed = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Stop; every connection is cut."""
        self.is_closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server, suppress(OSError):
            self.num_from_client[client] = 0
            for end in (client, server):
                end.settimeout(0.05)
            while not self.is_closed.is_set():
                if (sent := _received(client)) is not None:
                    self.num_from_client[client] += len(sent)
                    server.sendall(sent)
                if (sent := _received(server)) is not None:
                    self._pass(client, sent)


def _received(end: socket.socket) -> bytes | None:
    """Return what came, None if nothing did for a moment.

    Raises:
        OSError: If the other side is gone.
    """
    try:
        content = end.recv(65_536)
    except TimeoutError:
        return None
    if not content:
        raise ConnectionError
    return content


def reset_in_the_answer(proxy: Proxy) -> Pass:
    """Cut the connection in the middle of the first answer."""

    def cut(client: socket.socket, content: bytes) -> None:
        if proxy.num_from_client[client] < _IS_REQUEST:
            client.sendall(content)
            return
        client.sendall(content[: min(len(content) // 2, _LESS_THAN_ANSWER)])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionError

    return cut


def one_byte_a_second(proxy: Proxy) -> Pass:
    """Answer so slowly that nothing ever times out below, once a request is there."""

    def drip(client: socket.socket, content: bytes) -> None:
        if proxy.num_from_client[client] < _IS_REQUEST:
            client.sendall(content)
            return
        for byte in content:
            client.sendall(bytes([byte]))
            if proxy.is_closed.wait(1.0):
                return

    return drip


@contextmanager
def behind(make_pass: Callable[[Proxy], Pass], num_servers: int) -> Iterator[list[str]]:
    """Yield the addresses of healthy servers behind bad networks."""
    with ExitStack() as stack:
        urls = []
        for _ in range(num_servers):
            proxy = Proxy(stack.enter_context(fake_triton()), make_pass)
            stack.callback(proxy.close)
            urls.append(proxy.url)
        yield urls


@contextmanager
def black_holes(num_servers: int) -> Iterator[list[str]]:
    """Yield addresses that take connections and never say a word."""
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
            for _ in range(num_servers)
        ]
        yield [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]

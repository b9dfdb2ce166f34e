"""A port-forward over WebSocket, and TLS through it: what a Python client of a nested control plane has to do."""

import ssl
import struct
from types import TracebackType
from typing import Self

import websocket

from devhost.api import Client

PROTOCOL = "v4.channel.k8s.io"
DATA, ERROR = 0, 1


class Forward:
    """A TLS connection to a pod's port, verified as `name`; sends and receives bytes."""

    def __init__(self, client: Client, namespace: str, pod: str, port: int, context: ssl.SSLContext, name: str) -> None:
        access = client.access
        self._socket = websocket.create_connection(
            f"{access.server.replace('https', 'wss')}/api/v1/namespaces/{namespace}/pods/{pod}/portforward?ports={port}",
            subprotocols=[PROTOCOL],
            timeout=60,
            sslopt={"ca_certs": str(access.ca), "certfile": str(access.certificate), "keyfile": str(access.key)},
        )
        for channel in (DATA, ERROR):
            head = self._socket.recv()
            assert isinstance(head, bytes) and head[0] == channel and struct.unpack("<H", head[1:3]) == (port,)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        try:
            self._step(self._tls.do_handshake)
        except ssl.SSLError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def get(self, path: str, host: str) -> str:
        """Send one HTTP/1.0 request and return the whole answer."""
        self._tls.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        answer = b""
        while part := self._step(lambda: self._tls.read(65536)):
            answer += part
        return answer.decode()

    def _step(self, act):  # type: ignore[no-untyped-def]
        while True:
            try:
                done = act()
            except ssl.SSLWantReadError:
                self._flush()
                self._receive()
                continue
            except ssl.SSLEOFError:
                return b""
            self._flush()
            return done

    def _flush(self) -> None:
        if waiting := self._out.read():
            self._socket.send_binary(bytes([DATA]) + waiting)

    def _receive(self) -> None:
        frame = self._socket.recv()
        if not frame:
            self._in.write_eof()
            return
        assert isinstance(frame, bytes)
        assert frame[0] == DATA or len(frame) == 1, f"port-forward: {frame[1:].decode()}"
        self._in.write(frame[1:])

"""The server's side of a port-forward by WebSocket (`v4.channel.k8s.io`), as far as a client of ours asks for it."""

import base64
import hashlib
import select
import socket
import ssl
import struct

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PORT = struct.pack("<H", 8443)


def accepted(key: str) -> bytes:
    """The answer that opens the WebSocket."""
    accept = base64.b64encode(hashlib.sha1(f"{key}{MAGIC}".encode()).digest()).decode()
    lines = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}")
    return ("\r\n".join(["HTTP/1.1 101 X", *lines, "Sec-WebSocket-Protocol: v4.channel.k8s.io"]) + "\r\n\r\n").encode()


def serve(near: ssl.SSLSocket, far: socket.socket, key: str) -> None:
    """Carry bytes between a client that asked for a port-forward and a plain socket, until one side ends."""
    near.sendall(accepted(key) + _frame(b"\0" + PORT) + _frame(b"\1" + PORT))
    rest = b""
    while True:
        ready = [near] if near.pending() else select.select([near, far], [], [])[0]
        if near in ready:
            data = near.recv(65536)
            if not data:
                return
            rest += data
            while (found := _message(rest)) is not None:
                opcode, payload, rest = found
                if opcode == 8:
                    return
                if opcode == 2:
                    far.sendall(payload[1:])
        if far in ready:
            data = far.recv(32768)
            if not data:
                return
            near.sendall(_frame(b"\0" + data))


def _frame(data: bytes) -> bytes:
    size = struct.pack("!B", len(data)) if len(data) < 126 else struct.pack("!BH", 126, len(data))
    return b"\x82" + size + data


def _message(data: bytes) -> tuple[int, bytes, bytes] | None:
    """(opcode, payload, what follows) of a client's frame; None while it is not whole."""
    if len(data) < 2:
        return None
    size, at = data[1] & 0x7F, 2
    if size >= 126:
        at = 4 if size == 126 else 10
        if len(data) < at:
            return None
        size = int.from_bytes(data[2:at], "big")
    ends = at + 4 + size
    if len(data) < ends:
        return None
    mask = int.from_bytes((data[at : at + 4] * (size // 4 + 1))[:size], "big")
    payload = (int.from_bytes(data[at + 4 : ends], "big") ^ mask).to_bytes(size, "big")
    return data[0] & 0x0F, payload, data[ends:]

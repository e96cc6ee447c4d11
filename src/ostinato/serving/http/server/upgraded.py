"""A connection of uvicorn that has become a WebSocket, without tracebacks for mistakes of clients."""

from __future__ import annotations

from typing_extensions import override
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ostinato.serving.http.server.connection import HEAD_REFUSED

_NOT_UTF8 = 1007  # of RFC 6455


class Upgraded(WebSocketsSansIOProtocol):
    """The WebSocket connection of a client."""

    @override
    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(_NOT_UTF8)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_complete:  # a header of more than 8 KiB
            self.transport.write(HEAD_REFUSED)
            self.handshake_complete = self.close_sent = True
            self.transport.close()

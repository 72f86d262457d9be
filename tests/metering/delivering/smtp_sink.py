"""A real local mail server that keeps what it is given, and misbehaves where it is told to."""

import socket
import threading
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import NamedTuple, Self

PATIENCE_SECONDS = 30


class Hang(Exception):
    """Says nothing more until the test is over."""


class HangUp(Exception):
    """Closes the connection without a word."""


class Received(NamedTuple):
    """One message as it was taken: the envelope and the content."""

    sender: str
    recipients: list[str]
    message: EmailMessage


# Told of each command ("RCPT", "ada@example.org") and of the end of the content ("CONTENT", ""): a reply of
# its own, or None for the usual one; may raise `Hang` or `HangUp`.
Behaviour = Callable[[str, str], str | None]


class SmtpSink:
    """A mail server on a free port of this machine, for the time of a `with` block."""

    def __init__(self, behave: Behaviour | None = None) -> None:
        self.behave: Behaviour = behave or (lambda _command, _argument: None)
        self.received: list[Received] = []
        self.commands: list[str] = []
        self.is_over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self._listener.settimeout(0.05)
        self.port = int(self._listener.getsockname()[1])
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_over.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        self._listener.close()

    def _start(self, job: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=job, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.is_over.is_set():
            try:
                connection, _address = self._listener.accept()
            except TimeoutError:
                continue
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_SECONDS)
        try:
            with connection, connection.makefile("rwb") as line:
                self._speak(line)
        except (OSError, HangUp):
            pass
        except Hang:
            self.is_over.wait(PATIENCE_SECONDS)

    def _speak(self, line: "socket.SocketIO") -> None:
        def say(reply: str) -> None:
            line.write(f"{reply}\r\n".encode())
            line.flush()

        def usual(command: str, argument: str, reply: str) -> bool:
            """Whether it was taken."""
            self.commands.append(command)
            own = self.behave(command, argument)
            say(own or reply)
            return own is None

        sender, recipients = "", []
        if not usual("CONNECT", "", "220 sink ready"):
            return
        while text := line.readline():
            words = text.decode("latin-1").strip()
            command, _, argument = words.partition(" ")
            command = command.upper()
            if command == "MAIL" and usual("MAIL", argument.partition(":")[2], "250 ok"):
                sender, recipients = argument.partition(":")[2], []
            elif command == "RCPT":
                address = argument.partition(":")[2].strip("<> ")
                if usual("RCPT", address, "250 ok"):
                    recipients.append(address)
            elif command == "DATA":
                if not usual("DATA", "", "354 go on"):
                    continue
                content = b""
                while (row := line.readline()) not in {b".\r\n", b""}:
                    content += row[1:] if row.startswith(b"..") else row
                taken = Received(sender, list(recipients), message_from_bytes(content, policy=policy.default))
                self.commands.append("CONTENT")
                self.received.append(taken)  # as a server that has it and is cut off before it says so
                reply = self.behave("CONTENT", "")
                if reply is not None:
                    self.received.remove(taken)
                say(reply or "250 taken")
            elif command == "QUIT":
                say("221 bye")
                return
            elif command != "MAIL":
                say("250 ok")

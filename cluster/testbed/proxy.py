#!/usr/bin/env python3
"""A TCP proxy that makes faults: put it between a worker and its coordinator.

    proxy.py --connect 127.0.0.1:5555 --cut-up 1000,70000

It prints the address that it listens on, and at its end what it did. Up is from the worker to the coordinator.
SIGUSR1 resets every connection there is; SIGUSR2 stops all traffic, and lets it go on the next time. Lists hold
one number for each connection in the order of their coming; what comes after the end of a list is left alone.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import struct

PIECE = 16384


class Lane:
    """One direction of one connection."""

    def __init__(self, proxy, name, cut, corrupt, rate):
        self.proxy, self.name, self.cut, self.corrupt, self.rate = proxy, name, cut, corrupt, rate
        self.passed = 0

    def damaged(self, data):
        """The piece with a bit of the chosen byte flipped, if that byte lies in it."""
        place = None if self.corrupt is None else self.corrupt - self.passed
        if place is None or not 0 <= place < len(data):
            return data
        self.corrupt = None
        self.proxy.count("corrupted " + self.name)
        data = bytearray(data)
        data[place] ^= 1 << random.randrange(8)
        return bytes(data)

    async def run(self, reader, writer):
        """Passes bytes on until the end, or until the byte where the connection is cut."""
        options = self.proxy.options
        while data := await reader.read(PIECE):
            await self.proxy.flowing.wait()
            if options.delay:
                await asyncio.sleep(options.delay)
            cut = self.cut is not None and self.passed + len(data) >= self.cut
            if cut:
                data = data[: self.cut - self.passed]
            writer.write(self.damaged(data))
            self.passed += len(data)
            self.proxy.bytes[self.name] += len(data)
            if cut:
                await asyncio.sleep(0.01)
                self.proxy.count("cut " + self.name)
                raise ConnectionResetError
            await writer.drain()
            if self.rate:
                await asyncio.sleep(len(data) / self.rate)


class Proxy:
    def __init__(self, options):
        self.options = options
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.connections = set()
        self.counts = {"connections": 0}
        self.bytes = {"up": 0, "down": 0}

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def next(self, numbers):
        return numbers.pop(0) if numbers else None

    async def serve(self, reader, writer):
        options = self.options
        try:
            far_reader, far_writer = await self.dial()
        except OSError:
            reset(writer)
            return
        # Only now: an attempt that comes before there is anyone to connect to takes none of the faults.
        self.counts["connections"] += 1
        lanes = [
            Lane(self, "up", self.next(options.cut_up), self.next(options.corrupt_up), options.rate),
            Lane(
                self, "down", self.next(options.cut_down), self.next(options.corrupt_down),
                options.slow_reader or options.rate,
            ),
        ]
        both = (writer, far_writer)
        self.connections.add(both)
        up = asyncio.ensure_future(lanes[0].run(reader, far_writer))
        down = asyncio.ensure_future(lanes[1].run(far_reader, writer))
        done, _ = await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        clean = all(task.exception() is None for task in done)
        if clean:
            # What the other side still has to say goes out.
            for end in both:
                await closed(end)
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
        self.connections.discard(both)
        for end in both:
            reset(end)

    async def dial(self):
        host, port = address(self.options.connect)
        far = socket.socket()
        far.setblocking(False)
        if self.options.slow_reader:
            # Else the kernel reads megabytes on the slow reader's behalf.
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_connect(far, (host, port))
        return await asyncio.open_connection(sock=far, limit=PIECE)

    def reset_all(self):
        for both in list(self.connections):
            self.count("reset")
            for end in both:
                reset(end)

    def hold_or_go_on(self):
        if self.flowing.is_set():
            self.count("held")
            self.flowing.clear()
        else:
            self.flowing.set()


async def closed(writer):
    try:
        await asyncio.wait_for(writer.drain(), 1)
    except (OSError, asyncio.TimeoutError):
        pass
    writer.close()


def reset(writer):
    """Ends a connection by RST, with nothing more sent."""
    connection = writer.get_extra_info("socket")
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    writer.transport.abort()


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def numbers(text):
    return [int(part) for part in text.split(",") if part]


async def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", default="127.0.0.1:0", help="HOST:PORT; port 0 takes a free one")
    parser.add_argument("--connect", required=True, help="HOST:PORT of the coordinator")
    for name in ("cut-up", "cut-down"):
        parser.add_argument("--" + name, type=numbers, default=[], help="reset after so many bytes: N,N,…")
    for name in ("corrupt-up", "corrupt-down"):
        parser.add_argument("--" + name, type=numbers, default=[], help="flip a bit of this byte: N,N,…")
    parser.add_argument("--delay", type=float, default=0, help="seconds that each piece waits")
    parser.add_argument("--rate", type=float, default=0, help="bytes a second and direction")
    parser.add_argument("--slow-reader", type=float, default=0, help="bytes a second down, with small buffers")
    options = parser.parse_args()
    proxy = Proxy(options)
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    # Who starts us may have blocked them.
    signals = {signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    loop.add_signal_handler(signal.SIGUSR1, proxy.reset_all)
    loop.add_signal_handler(signal.SIGUSR2, proxy.hold_or_go_on)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    host, port = address(options.listen)
    server = await asyncio.start_server(proxy.serve, host, port, limit=PIECE)
    print("listening on %s:%d" % server.sockets[0].getsockname()[:2], flush=True)
    await over.wait()
    print(json.dumps(proxy.counts | {"bytes " + name: count for name, count in proxy.bytes.items()}), flush=True)
    # Connections that are still there end with the process.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())

# SPDX-License-Identifier: GPL-2.0
"""The device process: event loop, control socket and what scenarios can do."""

import asyncio
import json
import os
import signal
import sys
import time

from . import network, packet, rings, wire
from .model import NetModel, feature_mask
from .pci import PciFunction
from .transport import Interrupts, Server


class Loop:
    """What the model asks of its vehicle, on top of asyncio."""

    def __init__(self, loop):
        self.loop = loop
        self.start = time.monotonic()
        self.function = None

    def now(self):
        return time.monotonic() - self.start

    def call_later(self, seconds, func):
        return self.loop.call_later(seconds, func)

    def add_reader(self, fd, func):
        self.loop.add_reader(fd, func)

    def remove_reader(self, fd):
        self.loop.remove_reader(fd)

    def queue_interrupt(self, index):
        self.function.queue_interrupt(index)

    def config_interrupt(self):
        self.function.config_interrupt()


def _hex_header(entry):
    return dict(entry, raw_hdr=entry["raw_hdr"].hex(),
                frame=entry["frame"].hex(), length=len(entry["frame"]))


class Operations:
    """The operations of the control socket: one method each."""

    def __init__(self, model, function, server, loop):
        self.model = model
        self.function = function
        self.server = server
        self.loop = loop
        self.storms = {}
        self.next_storm = 1

    def run(self, request):
        name = str(request.get("op", "")).replace("-", "_")
        func = getattr(self, "op_" + name, None)
        if func is None:
            known = sorted(n[3:].replace("_", "-") for n in dir(self)
                           if n.startswith("op_"))
            raise ValueError(f"unknown op {request.get('op')!r}; known: "
                             f"{', '.join(known)}")
        return func(request) or {}

    # --- reading --------------------------------------------------------------
    def op_ping(self, _request):
        return {"pid": os.getpid()}

    def op_state(self, _request):
        state = self.model.state()
        state.update(connected=self.server.client is not None,
                     vectors=self.function.vectors,
                     vectors_set=sorted(self.server.interrupts.fds))
        return {"state": state}

    def op_log(self, request):
        since, kind = request.get("since", 0), request.get("kind")
        entries = [entry for entry in self.model.events
                   if entry["seq"] > since and kind in (None, entry["kind"])]
        return {"entries": entries[:request.get("limit", 5000)],
                "sequence": self.model.sequence}

    def op_violations(self, request):
        found = list(self.model.violations)
        if request.get("clear"):
            self.model.violations.clear()
        return {"violations": found}

    def op_tx(self, request):
        queue = request.get("queue")
        frames = [entry for entry in self.model.sent
                  if queue in (None, entry["queue"])]
        limit = request.get("limit")
        frames = frames[-limit:] if limit else frames
        if request.get("clear"):
            self.model.sent.clear()
        return {"frames": [_hex_header(entry) for entry in frames]}

    # --- faults ---------------------------------------------------------------
    def op_fault(self, request):
        fields = {k: v for k, v in request.items() if k != "op"}
        return {"id": self.model.faults.add(fields)}

    def op_clear(self, request):
        return {"cleared": self.model.faults.clear(request.get("id"))}

    def op_release(self, request):
        queue = self.model.queue_of(request["queue"])
        return {"released": self.model.release(
            queue, request.get("limit"), request.get("order", "fifo"),
            request.get("used_id"))}

    def op_poll(self, request):
        self.model.serve(self.model.queue_of(request["queue"]).index)

    # --- the network side --------------------------------------------------------
    def op_inject(self, request):
        """A frame into a receive queue, with any header and any lie."""
        model = self.model
        frame = bytes.fromhex(request.get("frame", "")) or b"".ljust(60, b"\0")
        if request.get("steer"):
            ok = all([model.receive(frame, request.get("hdr"))
                      for _ in range(request.get("count", 1))])
            return {"delivered": ok}
        queue = model.queue_of(request.get("queue", "rx0"))
        options = {k: request[k] for k in ("buffers", "used_len", "ids",
                                           "interrupt", "rewrite")
                   if k in request}
        if "raw_hdr" in request:
            options["raw_hdr"] = bytes.fromhex(request["raw_hdr"])
        delivered = []
        for _ in range(request.get("count", 1)):
            lengths = model.deliver(queue, frame, request.get("hdr"), options)
            if lengths is None:
                break
            delivered.append(lengths)
        return {"delivered": len(delivered), "used": delivered[:16]}

    def op_source(self, request):
        """Bursts of UDP frames (or of one given frame) to the driver. Waits
        while frames are backlogged, unless "lossy" is set."""
        model = self.model
        if "frame" in request:
            frames = [bytes.fromhex(request["frame"])]
        else:
            size = request.get("size", 64)
            flows = request.get("flows", 1)
            frames = [packet.udp_frame(
                model.control.mac, wire.mac_bytes(model.options["peer_mac"]),
                request.get("to", "192.0.2.1"),
                request.get("from", "192.0.2.2"),
                request.get("port", 9), 1024 + i, bytes(max(size - 42, 0)))
                for i in range(flows)]
        state = {"left": request.get("count", 1000), "sent": 0}
        burst = request.get("burst", 32)
        interval = request.get("interval", 0.001)

        lossy = request.get("lossy", False)

        def step():
            for _ in range(min(burst, state["left"])):
                if not lossy and any(queue.backlog for queue in model.queues):
                    break
                model.receive(frames[state["sent"] % len(frames)])
                state["sent"] += 1
                state["left"] -= 1
            return bool(state["left"])
        return {"id": self._repeat(interval, step)}

    def op_stop(self, request):
        """Ends a source or a storm, or all."""
        idents = [request["id"]] if "id" in request else list(self.storms)
        return {"stopped": sum(self.storms.pop(ident, False) for ident in idents)}

    def _repeat(self, interval, step):
        ident = self.next_storm
        self.next_storm += 1
        self.storms[ident] = True

        def run():
            if ident in self.storms:
                if step():
                    self.loop.call_later(interval, run)
                else:
                    self.storms.pop(ident, None)
        run()
        return ident

    def op_network(self, request):
        """Changes the back end."""
        if self.model.network:
            self.model.network.close()
        self.model.network = network.create(self.model, request["net"])

    # --- the device -----------------------------------------------------------------
    def op_link(self, request):
        self.model.set_link(bool(request["up"]))

    def op_announce(self, _request):
        self.model.announce()

    def op_needs_reset(self, request):
        if self.model.live() or not request.get("live"):
            self.model.needs_reset()

    def op_config(self, request):
        """Changes configuration fields; raw bytes override all of them."""
        model = self.model
        model.set_config(request.get("set", {}))
        if "bytes" in request:
            at = request.get("offset", 0)
            raw = model.config_bytes()
            data = bytes.fromhex(request["bytes"])
            raw[at:at + len(data)] = data
            model.config_raw = raw
        if request.get("raw") is False:
            model.config_raw = bytearray()
        model.config_changed(request.get("generation", True),
                             request.get("interrupt", True))
        return {"config": model.config_bytes().hex()}

    def op_option(self, request):
        """Changes options that are read while the device runs."""
        allowed = ("max_mac_table", "max_rss_contexts", "stats_types",
                   "accept_bad_features", "backlog", "queue_sizes",
                   "config_length", "stats_extra")
        for name, value in request.get("set", {}).items():
            if name == "queue_sizes":
                self.model.set_queue_sizes(value)
            elif name == "config_length":
                self.function.set_config_length(value)
            elif name not in allowed:
                raise ValueError(f"option {name!r} is fixed; these can change: "
                                 f"{', '.join(allowed)}")
            self.model.options[name] = value

    def op_offer(self, request):
        """Changes the offered features; the driver sees it when it next
        negotiates."""
        self.model.offered = feature_mask(request["features"])
        return {"offered": hex(self.model.offered)}

    def op_interrupt(self, request):
        """Raises an interrupt for nothing, at any time."""
        raised = 0
        for _ in range(request.get("count", 1)):
            if "vector" in request:
                raised += self.server.interrupts.trigger(request["vector"])
            elif request.get("config"):
                self.function.config_interrupt()
                raised += 1
            else:
                index = self.model.queue_of(request["queue"]).index
                self.function.queue_interrupt(index)
                raised += 1
        return {"raised": raised}

    def op_storm(self, request):
        """Repeats an operation: {"op": "storm", "what": {...}, "rate": 1000,
        "seconds": 5}."""
        what = request["what"]
        interval = 0.005
        per_step = max(1, round(request.get("rate", 1000) * interval))
        end = self.loop.now() + request.get("seconds", 1)

        def step():
            for _ in range(per_step):
                self.run(what)
            return self.loop.now() < end
        return {"id": self._repeat(interval, step)}

    def op_when(self, request):
        """Runs operations when something is logged: {"op": "when", "match":
        {"kind": "status", "value": 15}, "do": [...]}. At once, or "delay"
        seconds later; "count" times (1)."""
        match = request["match"]
        todo = request["do"]
        todo = todo if isinstance(todo, list) else [todo]
        state = {"left": request.get("count", 1)}
        delay = request.get("delay")

        def act():
            for what in todo:
                self.run(what)

        def observe(entry):
            if any(entry.get(k) != v for k, v in match.items()):
                return
            state["left"] -= 1
            if not state["left"]:
                self.model.observers.remove(observe)
            if delay is None:
                act()
            else:
                self.loop.call_later(delay, act)
        self.model.observers.append(observe)

    def op_ring(self, request):
        """Writes to a ring what no honest device writes."""
        queue = self.model.queue_of(request["queue"])
        ring = queue.ring
        if ring is None:
            raise ValueError(f"queue {queue.role} is not enabled")
        action = request["action"]
        if action == "used":
            ring.push_raw(request["id"], request.get("len", 0),
                          request.get("slots", 1))
        elif action == "used-index":
            if ring.packed:
                raise ValueError("a packed ring has no used index")
            ring.set_used_index(ring.used_idx + request.get("delta", 0))
        elif action == "descriptor":
            rings.write_descriptor(ring, request["index"], request["fields"])
        elif action == "kick-event":
            ring.freeze_event = request.get("freeze", True)
            ring.set_kick_event(request["value"])
        elif action == "unfreeze":
            ring.freeze_event = False
            ring.want_kick(True)
        else:
            raise ValueError(f"unknown ring action {action!r}; known: used, "
                             "used-index, descriptor, kick-event, unfreeze")
        if request.get("interrupt", True):
            self.function.queue_interrupt(queue.index)
        return ring.position()

    def op_ring_state(self, request):
        """The buffers the device holds, and those it may take."""
        queue = self.model.queue_of(request["queue"])
        if queue.ring is None:
            return {"buffers": [], "waiting": []}

        def told(chains):
            return [{"id": chain.id, "out": chain.out, "in": chain.inn,
                     "age": round(self.loop.now() - chain.when, 3)} for chain in chains]
        return {"position": queue.ring.position(),
                "buffers": told(queue.ring.inflight.values()),
                "waiting": told(queue.ring.waiting()) if request.get("waiting") else []}

    def op_memory(self, request):
        """Reads or writes guest memory."""
        memory = self.model.memory
        if "write" in request:
            memory.write(request["addr"], bytes.fromhex(request["write"]))
            return {}
        return {"data": memory.read(request["addr"],
                                    request["length"]).hex()}

    def op_quit(self, _request):
        self.loop.loop.call_soon(self.loop.loop.stop)


class ControlSocket:
    """JSON lines: one request, one reply."""

    def __init__(self, operations):
        self.operations = operations

    async def serve(self, reader, writer):
        try:
            while line := await reader.readline():
                try:
                    reply = {"ok": True,
                             **self.operations.run(json.loads(line))}
                except Exception as err:  # a scenario error stays with its test
                    text = (f"missing field {err}"
                            if isinstance(err, KeyError) else str(err))
                    reply = {"ok": False, "error": text,
                             "type": type(err).__name__}
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


def main(argv):
    if len(argv) != 2:
        print("usage: python3 -m device DIRECTORY OPTIONS-JSON (started by "
              "client.py)", file=sys.stderr)
        return 2
    directory, options = argv[0], json.loads(argv[1])
    loop = asyncio.new_event_loop()
    vehicle = Loop(loop)
    with open(os.path.join(directory, "log.jsonl"), "w",
              encoding="utf-8") as log_file:
        try:
            model = NetModel(options, vehicle, log_file=log_file)
            interrupts = Interrupts()
            function = PciFunction(model, interrupts)
            vehicle.function = function
            model.network = network.create(model, model.options["net"])
        except ValueError as err:
            print(f"the test device cannot start: {err}", file=sys.stderr)
            return 2
        server = Server(os.path.join(directory, "vfio.sock"), function,
                        interrupts, vehicle)
        control = ControlSocket(Operations(model, function, server, vehicle))
        path = os.path.join(directory, "control.sock")
        loop.run_until_complete(asyncio.start_unix_server(
            control.serve, path, limit=1 << 24))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, loop.stop)
        # The process that started us holds the other end of our standard
        # input: when it is gone, so are we.
        loop.add_reader(0, lambda: os.read(0, 4096) or loop.stop())
        print("ready", flush=True)
        try:
            loop.run_forever()
        finally:
            server.close()
            model.network.close()
            if os.path.exists(path):
                os.unlink(path)
    return 0

# SPDX-License-Identifier: GPL-2.0
"""Misbehaviour: rules that the model and the PCI layer ask for advice.

A rule is a dictionary with a target and an action:

  {"cmd": [1, 0], "action": "refuse"}         control commands
  {"queue": "tx*", "action": "hold"}          virtqueues
  {"device": "reset", "action": "stuck"}      everything else

"count" limits how often a rule applies, "skip" lets that many matches pass
first. The first rule that matches wins.
"""

import fnmatch

from . import wire

CMD_ACTIONS = {"never", "refuse", "delay", "answer"}
QUEUE_ACTIONS = {"hold", "delay", "twice", "wrong-id", "reverse", "half",
                 "used-len", "drop", "no-interrupt", "ignore-kick"}
DEVICE_ACTIONS = {
    "reset": {"stuck"},
    "queue-reset": {"hang", "refuse"},
    "features-ok": {"refuse"},
    "bus": {"dead"},
    "generation": {"every-read"},
    "vector": {"refuse"},
    "config-read": {"sequence"},
}


class Rule:
    def __init__(self, ident, target, pattern, fields):
        self.id = ident
        self.target = target            # "cmd", "queue" or "device"
        self.pattern = pattern
        self.action = fields["action"]
        self.fields = fields
        self.left = fields.get("count")
        self.skip = fields.get("skip", 0)
        self.hits = 0

    def get(self, name, default=None):
        return self.fields.get(name, default)

    def take(self):
        """Counts a match; False when the rule lets it pass."""
        if self.skip:
            self.skip -= 1
            return False
        if self.left == 0:
            return False
        if self.left is not None:
            self.left -= 1
        self.hits += 1
        return True

    def describe(self):
        return dict(self.fields, id=self.id, hits=self.hits, left=self.left)


def _command_pattern(value):
    """(class, command) with None as a wild card."""
    if value == "*":
        return (None, None)
    if isinstance(value, str):
        if value not in wire.COMMAND_OF_NAME:
            raise ValueError(f"unknown command {value!r}; known: "
                             f"{', '.join(sorted(wire.COMMAND_OF_NAME))}")
        return wire.COMMAND_OF_NAME[value]
    if len(value) != 2:
        raise ValueError("cmd is [class, command], a name or \"*\"")
    return tuple(None if part == "*" else int(part) for part in value)


class Faults:
    def __init__(self):
        self.rules = []
        self._next = 1

    def add(self, fields):
        """Checks and adds a rule; returns its number."""
        targets = [t for t in ("cmd", "queue", "device") if t in fields]
        if len(targets) != 1:
            raise ValueError("a fault names one of cmd, queue and device")
        target = targets[0]
        value = fields[target]
        if target == "cmd":
            pattern, known = _command_pattern(value), CMD_ACTIONS
        elif target == "queue":
            pattern, known = str(value), QUEUE_ACTIONS
        else:
            if value not in DEVICE_ACTIONS:
                raise ValueError(f"unknown device fault {value!r}; known: "
                                 f"{', '.join(sorted(DEVICE_ACTIONS))}")
            pattern, known = value, DEVICE_ACTIONS[value]
        if fields.get("action") not in known:
            raise ValueError(f"the action of a {target} fault is one of "
                             f"{', '.join(sorted(known))}")
        rule = Rule(self._next, target, pattern, fields)
        self._next += 1
        self.rules.append(rule)
        return rule.id

    def clear(self, ident=None):
        before = len(self.rules)
        self.rules = [] if ident is None else [rule for rule in self.rules
                                               if rule.id != ident]
        return before - len(self.rules)

    def describe(self):
        return [rule.describe() for rule in self.rules]

    def command(self, number):
        for rule in self.rules:
            if rule.target != "cmd":
                continue
            if all(want is None or want == got
                   for want, got in zip(rule.pattern, number)):
                if rule.take():
                    return rule
        return None

    def queue(self, queue, *actions):
        """The rule for a queue with one of the actions, or None."""
        for rule in self.rules:
            if rule.target != "queue" or rule.action not in actions:
                continue
            if (rule.pattern == str(queue.index) or
                    fnmatch.fnmatchcase(queue.role, rule.pattern)):
                if rule.take():
                    return rule
        return None

    def device(self, what):
        for rule in self.rules:
            if rule.target == "device" and rule.pattern == what:
                if rule.take():
                    return rule
        return None

# SPDX-License-Identifier: GPL-2.0
"""Guests of other kinds are guests in all that they do not say."""

import ast
import inspect
import textwrap
import unittest

from lab.guest import Guest
from lab.machine import Machine


def assigned(cls):
    """Names that the class's own code assigns to self."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    return {node.attr for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name) and node.value.id == "self"}


class Machines(unittest.TestCase):
    def test_no_attribute_hides_a_method(self):
        hidden = [name for name in assigned(Machine) if callable(getattr(Guest, name, None))]
        self.assertEqual(hidden, [])


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: GPL-2.0
"""The table of rooms: what it allows, what it refuses, and the picture of it."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, "/vnet/lab/gates")

import rooms  # noqa: E402

TABLE = """
level low: policy/a life/b
level high: top
pure policy/a
plain mem.*
"""
FILES = {
    "policy/a.c": "int vnet_a(int x)\n{\n\treturn x;\n}\n",
    "life/b.c": "/* vnet_top() is above */\nvoid vnet_b(void)\n{\n\tpr_info(\"vnet_top\");\n"
                "\tvnet_a(1);\n}\n\nconst int vnet_b_table[] = {\n\t1,\n};\n",
    "top.c": "static int vnet_top_own(void)\n{\n\treturn vnet_in(2) + vnet_b_table[0];\n}\n"
             "int vnet_top(void)\n{\n\treturn vnet_top_own();\n}\n",
    "include/vnet_x.h": "static inline int vnet_in(int x)\n{\n\treturn vnet_a(x);\n}\n",
    "docs/architecture.rst": "``policy/a.c`` ``life/b.c`` ``top.c``",
    rooms.TABLE: TABLE,
}


class Rooms(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.top = Path(place.name)
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name, text):
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def found(self):
        """Findings but for the picture's."""
        return rooms.run(self.top, write=True)[0]

    def test_who_refers_to_whom(self):
        found, edges = rooms.run(self.top, write=True)
        self.assertEqual(found, [])
        self.assertEqual(edges, {("life/b", "policy/a"): "vnet_a", ("top", "policy/a"): "vnet_a",
                                 ("top", "life/b"): "vnet_b_table"})

    def test_the_picture_is_drawn_from_it(self):
        self.assertIn("run scripts/rooms.py", rooms.run(self.top)[0][0])
        self.assertEqual(self.found(), [])
        self.assertEqual(rooms.run(self.top)[0], [])
        drawn = (self.top / rooms.PICTURE).read_text("utf-8")
        self.assertEqual(drawn.count("<title>"), 3)
        self.write("life/b.c", FILES["life/b.c"].replace("vnet_a(1)", "0"))
        self.assertIn("run scripts/rooms.py", rooms.run(self.top)[0][0])

    def test_upwards_is_refused(self):
        self.write("life/b.c", FILES["life/b.c"].replace("vnet_a(1)", "vnet_top()"))
        self.assertIn("life/b.c (low) refers to vnet_top of top.c (high)", self.found()[0])

    def test_a_circle_within_a_level_is_refused(self):
        self.write("policy/a.c", FILES["policy/a.c"].replace("return x", "vnet_b()"))
        self.assertIn("policy/a.c (low) refers to vnet_b of life/b.c (low)", self.found()[0])

    def test_a_call_in_an_inline_function_counts(self):
        self.write("include/vnet_x.h", FILES["include/vnet_x.h"].replace("vnet_a(", "vnet_top("))
        self.write("life/b.c", FILES["life/b.c"].replace("vnet_a(", "vnet_in("))
        self.assertIn("life/b.c (low) refers to vnet_top", self.found()[0])

    def test_table_and_files(self):
        self.write(rooms.TABLE, TABLE + "level more: life/c policy/a\nallow a -> b: why\n")
        found = "\n".join(self.found())
        for words in ("not understood: allow", "policy/a has two places", "there is no life/c.c",
                      "does not say what life/c.c is for"):
            self.assertIn(words, found)

    def test_modules_of_their_own(self):
        table = rooms.Table(TABLE + "alone one: one/a one/b\nalone two: two/c\n")
        self.assertEqual((table.wrong, table.alone), ([], [["one/a", "one/b"], ["two/c"]]))
        self.assertNotIn("one/a", table.rooms)

        def judged(*edge):
            return "".join(rooms.judge_alone(table, {edge: "f"}))

        self.assertEqual(judged("one/b", "one/a"), "")
        self.assertIn("which comes later", judged("one/a", "one/b"))
        for edge in (("one/a", "top"), ("top", "one/a"), ("two/c", "one/b")):
            self.assertIn("which is another module", judged(*edge))

    def test_of_the_driver(self):
        self.assertEqual(rooms.run("/vnet")[0], [])


if __name__ == "__main__":
    unittest.main()

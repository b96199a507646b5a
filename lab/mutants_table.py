# SPDX-License-Identifier: GPL-2.0
"""docs/mutants.rst: what is known of each mutant of the list (lab/start mutants --table)."""

from . import mutants

HEAD = """.. SPDX-License-Identifier: GPL-2.0

Mutants: the table
==================

Made from ``lab/mutants.toml`` and ``lab/mutants.results`` by ``lab/start mutants --table >
docs/mutants.rst``; :doc:`testing` says how they are run. *Not run* is one of which nothing
is known since it, its tests' names or the function around its place have changed.

{counts}
"""
ROOM = """
{room}
{line}

.. list-table::
   :header-rows: 1
   :widths: 25 45 30

   * - defect
     - what is wrong then
     - found by
"""
ROW = """   * - *{name}*
     - {why}
     - {found}
"""


def escape(text):
    """Without what reST takes for markup."""
    return text.replace("\\", "\\\\").replace("*", "\\*").replace("`", "\\`").replace("|", "\\|")


def found(verdict, lives):
    if verdict is None:
        return "not run"
    if not verdict.killed:
        return "**survived**" + (f": {escape(lives)}" if lives else "")
    test, _, profile = verdict.test.partition("@")
    return f"``{test}``" + ("" if test == mutants.UNIT else f" on {profile}")


def page(listed, files):
    """The page of these mutants."""
    told = mutants.known(listed, files)[0]
    rooms = {}
    for mutant in listed:
        rooms.setdefault(str(mutant.plant(files)[0]), []).append(mutant)
    killed = sum(verdict.killed for verdict in told.values())
    text = HEAD.format(counts=f"{len(listed)} mutants: {killed} killed, {len(told) - killed} "
                              f"survived, {len(listed) - len(told)} not run.")
    for room in sorted(rooms):
        text += ROOM.format(room=room, line="-" * len(room))
        text += "".join(ROW.format(name=m.name, why=escape(m.why),
                                   found=found(told.get(m.name), m.lives))
                        for m in rooms[room])
    return text.rstrip("\n")

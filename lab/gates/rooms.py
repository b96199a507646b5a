# SPDX-License-Identifier: GPL-2.0
"""The table of rooms, who refers to whom by the text of the driver, and the picture of both.

The text is enough for the picture, which then needs no compiler; the gate "layers"
compares it with the objects.
"""

import re
from pathlib import Path

PICTURE = "docs/rooms.svg"
TABLE = "lab/gates/layers.txt"
COLOURS = {"data": "#228833", "policy": "#aa7700", "life": "#cc3311", "": "#4477aa"}
KEYWORDS = {"if", "for", "while", "switch", "return", "sizeof"}


class Table:
    """layers.txt, read."""

    def __init__(self, text):
        self.levels, self.pure, plain, self.wrong, self.alone = [], set(), [], [], []
        for number, line in enumerate(text.splitlines(), 1):
            word, _, rest = line.partition("#")[0].strip().partition(" ")
            if word == "level" and re.fullmatch(r"\w+:( [\w/]+)+", rest):
                name, _, rooms = rest.partition(": ")
                self.levels.append((name, rooms.split()))
            elif word == "alone" and re.fullmatch(r"\w+:( [\w/]+)+", rest):
                self.alone.append(rest.partition(": ")[2].split())
            elif word == "pure":
                self.pure.add(rest)
            elif word == "plain":
                plain.append(rest)
            elif word:
                self.wrong.append(f"{TABLE}:{number} is not understood: {line}")
        self.rooms = [room for _, rooms in self.levels for room in rooms]
        self.place = {room: number for number, room in enumerate(self.rooms)}
        self.level = {room: name for name, rooms in self.levels for room in rooms}
        self.plain = re.compile("|".join(plain) or "(?!)")
        self.wrong += [f"{TABLE}: {room} has two places" for room in set(self.rooms)
                       if self.rooms.count(room) > 1]

    def house(self, room):
        """The rooms of the module that a room belongs to, or None; those of the driver first."""
        return next((rooms for rooms in (self.rooms, *self.alone) if room in rooms), None)

    def may(self, caller, callee):
        """Callees come first, so that no circle can be made of what is allowed."""
        return self.place[callee] < self.place[caller]


def judge(table, edges):
    """Findings about {(caller, callee): symbol}; what has no place in the table is left out."""
    return [f"{caller}.c ({table.level[caller]}) refers to {symbol} of {callee}.c "
            f"({table.level[callee]}), which comes later in {TABLE}"
            for (caller, callee), symbol in sorted(edges.items())
            if {caller, callee} <= table.place.keys() and not table.may(caller, callee)]


def judge_alone(table, edges):
    """The same about modules of their own: nothing of another one, nothing that comes later."""
    found = []
    for (caller, callee), symbol in sorted(edges.items()):
        home = table.house(caller)
        if not home or table.house(callee) is not home:
            found.append(f"{caller}.c refers to {symbol} of {callee}.c, which is another module")
        elif home is not table.rooms and home.index(callee) > home.index(caller):
            found.append(f"{caller}.c refers to {symbol} of {callee}.c, which comes later "
                         f"in {TABLE}")
    return found


# ---- the text of the driver -------------------------------------------------------


def code_only(text):
    """TEXT without comments, strings and what the preprocessor is told."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    return re.sub(r"^#.*?(?<!\\)$", "", text, flags=re.M | re.S)


def definitions(code):
    """{name: text of the body} of the functions and tables that begin at the left margin."""
    found = {}
    for match in re.finditer(r"^(?!typedef|struct\s+\w+\s*\{|enum|union|#|\s|\}|TRACE_)"
                             r"[^\n;{}]*?\b(\w+)(?:\([^;{}]*?\)\s*\{|(?:\[[^\]]*\])+\s*=\s*\{)"
                             r"(.*?)^\}", code, re.M | re.S):
        if match[1] not in KEYWORDS:
            found[match[1]] = (match[0].startswith("static"), match[2])
    return found


def words(text):
    return set(re.findall(r"\b\w+\b", text))


class Text:
    """Who refers to whom, by the text of the files of TOP."""

    def __init__(self, top, rooms):
        top = Path(top)
        self.code = {room: (top / f"{room}.c").read_text("utf-8") for room in rooms
                     if (top / f"{room}.c").is_file()}
        self.owner = {}
        for room, text in self.code.items():
            for name, (private, _) in definitions(code_only(text)).items():
                if not private:
                    self.owner[name] = room
            if "#define CREATE_TRACE_POINTS" in text:
                for name in re.findall(r"^TRACE_EVENT\((\w+),",
                                       (top / "include/vnet_trace.h").read_text("utf-8"), re.M):
                    self.owner[f"trace_{name}"] = room
        self.inline = {}
        for path in sorted((top / "include").glob("*.h")):
            for name, (_, body) in definitions(code_only(path.read_text("utf-8"))).items():
                self.inline[name] = words(body)

    def reached(self, names):
        """NAMES, and what the inline functions among them name."""
        known, front = set(), set(names)
        while front:
            known |= front
            front = set().union(*(self.inline.get(name, ()) for name in front)) - known
        return known

    def edges(self):
        """{(caller, callee): one of the names}"""
        found = {}
        for room, text in self.code.items():
            for name in sorted(self.reached(words(code_only(text)))):
                callee = self.owner.get(name)
                if callee and callee != room:
                    found.setdefault((room, callee), name)
        return found


# ---- the picture ------------------------------------------------------------------

CELL, LEFT, TOP_, FONT = 16, 190, 118, 11


def folder(room):
    return room.partition("/")[0] if "/" in room else ""


def text_at(x, y, text, more=""):
    return f'<text x="{x}" y="{y}" {more}>{text}</text>'


def bands(table, size):
    """The levels: a square on the diagonal for each, and its name."""
    lines, start = [], 0
    for number, (name, rooms) in enumerate(reversed(table.levels)):
        x, side = start * CELL, len(rooms) * CELL
        shade = "#eef2f7" if number % 2 else "#e0e7f0"
        lines.append(f'<rect x="{LEFT}" y="{TOP_ + x}" width="{size}" height="{side}" '
                     f'fill="{shade}"/>')
        lines.append(f'<rect x="{LEFT + x}" y="{TOP_ + x}" width="{side}" height="{side}" '
                     'fill="#c7d3e3"/>')
        lines.append(text_at(6, TOP_ + x + side / 2 + 4, name, 'font-weight="bold"'))
        start += len(rooms)
    return lines


def legend(size):
    said = [text_at(LEFT, 0, "a dot: the room of the row refers to that of the column; "
                             "none lies left of the diagonal")]
    x = LEFT
    for name, colour in COLOURS.items():
        said.append(f'<circle cx="{x + 5}" cy="14" r="5" fill="{colour}"/>')
        said.append(text_at(x + 14, 18, f"{name}/" if name else "top level"))
        x += 90
    return [f'<g transform="translate(0 {TOP_ + size + 22})">', *said, "</g>"]


def picture(table, edges):
    """SVG: the rooms from the surface down, twice; who refers to whom are dots."""
    rooms = table.rooms[::-1]
    place = {room: number for number, room in enumerate(rooms)}
    size = len(rooms) * CELL
    width, height = LEFT + size + 70, TOP_ + size + 50
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             f'width="{width}" height="{height}" font-family="sans-serif" font-size="{FONT}">',
             "<!-- SPDX-License-Identifier: GPL-2.0; drawn by scripts/rooms.py -->",
             f'<rect width="{width}" height="{height}" fill="#ffffff"/>', *bands(table, size)]
    for room, number in place.items():
        at = number * CELL + CELL / 2
        colour = f'fill="{COLOURS[folder(room)]}"'
        lines.append(text_at(LEFT - 6, TOP_ + at + 4, room, f'{colour} text-anchor="end"'))
        lines.append(text_at(0, 0, room, f'{colour} transform="translate({LEFT + at + 3} '
                                         f'{TOP_ - 5}) rotate(-55)"'))
    for caller, callee in sorted(edges, key=lambda edge: (place[edge[0]], place[edge[1]])):
        x, y = (place[room] * CELL + CELL / 2 for room in (callee, caller))
        lines.append(f'<circle cx="{LEFT + x}" cy="{TOP_ + y}" r="5" '
                     f'fill="{COLOURS[folder(callee)]}"><title>{caller} -&gt; {callee}'
                     '</title></circle>')
    return "\n".join([*lines, *legend(size), "</svg>", ""])


def run(top, write=False):
    """(findings, edges by the text); WRITE: draw the picture anew."""
    top = Path(top)
    table = Table((top / TABLE).read_text("ascii"))
    edges = Text(top, table.rooms).edges()
    found = table.wrong + judge(table, edges)
    found += [f"{TABLE}: there is no {room}.c" for room in table.rooms
              if not (top / f"{room}.c").is_file()]
    told = (top / "docs/architecture.rst").read_text("utf-8")
    found += [f"docs/architecture.rst does not say what {room}.c is for" for room in table.rooms
              if f"``{room}.c``" not in told]
    page, drawn = top / PICTURE, picture(table, edges)
    if write:
        page.write_text(drawn, "utf-8")
    elif not page.exists() or page.read_text("utf-8") != drawn:
        found.append(f"{PICTURE} is not what the driver is: run scripts/rooms.py")
    return found, edges

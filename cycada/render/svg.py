"""Shorten matplotlib's SVG to a fraction of its length; coordinates keep a hundredth of a point."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from cycada.render.pixels import smaller

LENGTHS = ("d", "x", "y", "width", "height", "transform", "points", "viewBox")
"""Attributes that hold lengths."""
FONT = ("font-size", "text-anchor")
"""Styles of text that the root sets for all text."""
SHARED = 3
"""Smallest number of neighbours with a common style that are put into a group with this style."""

Style = dict[str, str]


def compact(svg: str, key: str) -> ET.Element:
    """Parse an SVG and shorten it.

    It drops namespaces, metadata, invisible shapes, font families (the page has its own), and ids that
    nothing refers to. The other ids become `key` and a number, so that several SVGs can stand on one page.

    Args:
        svg: The text that matplotlib wrote.
        key: The beginning of all ids.
    """
    root = ET.fromstring(svg[svg.index("<svg") :])
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        element.text, element.tail = (element.text or "").strip() or None, None
    wanted = dict.fromkeys(re.findall(r'(?:url\(|href=")#([\w.-]+)', ET.tostring(root, encoding="unicode")))
    ids = {old: f"{key}-{i}" for i, old in enumerate(wanted)}
    for element in root.iter():
        element.attrib = dict(_attributes(element, ids))
    _prune(root)
    _inherit(root)
    _group(root)
    return root


def written(root: ET.Element) -> str:
    """Return a tree as markup in one line."""
    return ET.tostring(root, encoding="unicode").replace(" />", "/>")


def _attributes(element: ET.Element, ids: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in element.attrib.items():
        if name == "id":
            if value in ids:
                yield name, ids[value]
        elif name in LENGTHS:
            if short := re.sub(r"-?\d+\.\d{3,}", _rounded, re.sub(r"rotate\(-0 [^)]*\)", "", value)):
                yield name, _path(short) if name == "d" else short
        elif name == "href":
            yield name, f"#{ids[value[1:]]}" if value.startswith("#") else smaller(value)
        else:
            renamed = re.sub(r"url\(#([\w.-]+)", lambda match: f"url(#{ids[match[1]]}", value)
            yield name, _joined(_styles(renamed)) if name == "style" else renamed


def _rounded(number: re.Match[str]) -> str:
    return f"{round(float(number.group()), 2) + 0.0:g}"  # + 0.0: no minus zero


def _path(d: str) -> str:
    """Shorten a path: `M 1 2 L 3 4 L 5 6 z` becomes `M1 2L3 4 5 6z`."""
    tokens = re.sub(r"\s*([A-Za-z])\s*", r" \1", d).split()
    out, last = [], ""
    for token in tokens:
        command = token[0] if token[0].isalpha() else ""
        out.append(f" {token[1:]}" if command == last == "L" else token if command else f" {token}")
        last = command or last
    return "".join(out)


def _styles(style: str) -> Style:
    styles = dict(re.findall(r"([\w-]+)\s*:\s*([^;]*[^;\s])", style))
    styles.pop("font-family", None)
    if "font" in styles:  # older versions of matplotlib write size and family together
        styles["font"] = re.sub(r"(px) .*", r"\1 sans-serif", styles["font"])
    return styles


def _joined(style: Style) -> str:
    return ";".join(f"{name}:{value}" for name, value in style.items())


def _restyle(element: ET.Element, style: Style) -> None:
    element.attrib.pop("style", None)
    element.attrib |= {"style": _joined(style)} if style else {}


def _style(element: ET.Element) -> Style:
    return _styles(element.get("style", ""))


def _prune(parent: ET.Element) -> None:
    """Remove elements that show nothing, and dissolve groups without attributes."""
    kept: list[ET.Element] = []
    for child in parent:
        _prune(child)
        unseen = child.tag in ("metadata", "style") or (
            child.tag == "path" and child.get("style") == "fill:none"
        )
        if unseen or (child.tag in ("g", "defs") and not len(child)):
            continue
        kept += list(child) if child.tag == "g" and not child.attrib else [child]
    parent[:] = kept


def _inherit(root: ET.Element) -> None:
    """Set the most common text style once at the root, and drop styles that a marker has where it is used."""
    text = list(root.iter("text"))
    usual: Style = {"stroke-linejoin": "round"}
    for name in FONT:
        counted = Counter(_style(element).get(name) for element in text)
        if counted and None not in counted:
            usual[name] = str(counted.most_common(1)[0][0])
    for element in text:
        _restyle(element, {n: v for n, v in _style(element).items() if usual.get(n) != v})
    markers = {f"#{element.get('id')}": _style(element) for element in root.iter() if element.get("id")}
    for element in root.iter("use"):
        own = markers.get(element.get("href", ""), {})
        _restyle(element, {n: v for n, v in _style(element).items() if n not in own})
    root.set("style", _joined(usual))


def _group(parent: ET.Element) -> None:
    """Move the common style of neighbours to a group around them, of equal ones first, then of others."""
    for child in parent:
        if child.tag != "defs":
            _group(child)
    for alike in (True, False):
        runs: list[tuple[list[ET.Element], Style]] = []
        for child in parent:
            own = _shareable(child)
            run, common = runs[-1] if runs else ([], {})
            both = dict(common.items() & own.items())
            if both and run[0].tag == child.tag and both == common and (own == common or not alike):
                run.append(child)
            elif both and run[0].tag == child.tag and len(run) < SHARED and not alike:
                runs[-1] = ([*run, child], both)
            else:
                runs.append(([child], own))
        parent[:] = [
            e
            for run, common in runs
            for e in ([_in_group(run, common)] if len(run) >= SHARED and common else run)
        ]


def _shareable(element: ET.Element) -> Style:
    """Return the style and the clip of an element, as far as a group may have them instead.

    An opacity stays: on a group it would count once, on two overlapping elements it counts twice. So does the
    clip of an element with a transform, which moves the clip, too.
    """
    style = _style(element)
    shareable = {} if "opacity" in style else style
    clip = (
        {"clip-path": element.attrib["clip-path"]}
        if "clip-path" in element.attrib and "transform" not in element.attrib
        else {}
    )
    return shareable | clip


def _in_group(run: list[ET.Element], shared: Style) -> ET.Element:
    clip = {"clip-path": shared["clip-path"]} if "clip-path" in shared else {}
    style = {n: v for n, v in shared.items() if n != "clip-path"}
    group = ET.Element(
        "g", ({"style": _joined({n: style[n] for n in _style(run[0]) if n in style})} if style else {}) | clip
    )
    for element in run:
        if clip:
            element.attrib.pop("clip-path")
        _restyle(element, {n: v for n, v in _style(element).items() if n not in style})
        group.append(element)
    return group

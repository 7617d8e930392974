"""A gate's verdict as junit.xml: one test case per rule, for every reader of test results."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from reports.visible_text import visible
from tasks.schema.gate import GateResult, Ruling

NOT_IN_XML = {ord("\ufffe"): "\ufffd", ord("\uffff"): "\ufffd"}


def as_junit(result: GateResult) -> str:
    """Rules that refuse fail; warnings pass with their reason; rules not judged are skipped."""
    cases = [*map(_case_of_rule, result.rulings), _promotion(result)]
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "time": "0",
    }
    suites = Element("testsuites", {"name": "sightline release", **counts})
    attributes = {
        "name": _plain(result.candidate.address),
        "timestamp": result.created[:19],
        **counts,
    }
    SubElement(suites, "testsuite", attributes).extend(cases)
    ElementTree.indent(suites)
    xml = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}\n'


def _case_of_rule(ruling: Ruling) -> Element:
    case = _case(f"rule {ruling.number}: {ruling.rule}")
    if ruling.status == "skipped":
        SubElement(case, "skipped", {"message": _plain(ruling.reason)})
    elif ruling.effect == "fail":
        _fail(case, ruling.status, ruling.reason)
    else:
        warning = "warning: " if ruling.effect == "warn" else ""
        SubElement(case, "system-out").text = _plain(warning + ruling.reason)
    return case


def _promotion(result: GateResult) -> Element:
    """Whether the candidate is the champion now, by the rules and by the registry."""
    case = _case("promotion")
    if result.promoted:
        SubElement(case, "system-out").text = _plain(result.promotion)
    else:
        _fail(case, "promotion", f"{result.sentence} {result.promotion}")
    return case


def _case(name: str) -> Element:
    attributes = {"classname": "sightline.release", "name": _plain(name), "time": "0"}
    return Element("testcase", attributes)


def _fail(case: Element, kind: str, reason: str) -> None:
    failure = SubElement(case, "failure", {"message": _plain(reason), "type": kind})
    failure.text = _plain(reason)


def _plain(text: str) -> str:
    return visible(text).translate(NOT_IN_XML)

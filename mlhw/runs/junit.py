"""Claims as JUnit XML, which every CI shows: a suite an experiment, a test case a claim."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from mlhw.result.result import Part
from mlhw.text.values import number_text

# What XML 1.0 cannot hold, section 2.2.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(parts: Sequence[Part]) -> bytes:
    """A ``testsuites`` document, a suite for each part.

    A failing claim is a failure, one that does not apply is skipped, a part that did not finish has an
    error. The output of each names the place in the run's report where it stands.
    """
    root = ElementTree.Element("testsuites", name="mlhw")
    for part in parts:
        claims = part.claims
        errors = [] if part.status == "finished" else part.found.get("error") or ["failed"]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=part.name,
            tests=str(len(claims) + bool(errors)),
            failures=str(sum(claim.verdict == "fails" for claim in claims)),
            errors=str(int(bool(errors))),
            skipped=str(sum(claim.verdict == "not applicable" for claim in claims)),
            time=f"{part.seconds:.3f}",
        )
        for claim in claims:
            case = _case(suite, part.name, claim.statement)
            numbers = (
                f"measured {number_text(claim.measured)}, expected {number_text(claim.expected)}"
            )
            if claim.verdict == "fails":
                failure = ElementTree.SubElement(case, "failure", message=_clean(numbers))
                failure.text = _clean(f"{claim.id}: {claim.note}")
            elif claim.verdict == "not applicable":
                ElementTree.SubElement(case, "skipped", message=_clean(claim.note))
            said = [numbers] if claim.verdict == "holds" else []
            if part.folder is not None:
                said.append(f"report: {part.folder / 'report.html'}#{claim.anchor}")
            if said:
                ElementTree.SubElement(case, "system-out").text = _clean("\n".join(said))
        if errors:
            case = _case(suite, part.name, "runs to its end")
            ElementTree.SubElement(case, "error", message=_clean("; ".join(map(str, errors))))
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(suite: ElementTree.Element, experiment: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", classname=f"mlhw.{experiment}", name=_clean(name), time="0"
    )


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)

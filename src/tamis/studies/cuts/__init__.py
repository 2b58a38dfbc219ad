"""How many events pass a cut on a score?

For a fine grid of cuts the study counts the expected events of each class, with efficiencies, purity and significance.
"""

from __future__ import annotations

from collections.abc import Iterator

from tamis.blocks import Block, Explorer, Text
from tamis.studies.cuts.result import CutsResult, compute_cuts
from tamis.studies.study import Study, import_keys


def section(result: CutsResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    from tamis.plots.style import colours  # with matplotlib, which takes long to import

    if not result.tables:
        return
    yield Text(
        "Move the threshold: test events with at least this score pass. The yields of each class "
        f"({result.yields_are}) are scaled from the test events to all used events. The significance includes the "
        "statistical uncertainty of the simulated backgrounds and the configured systematic uncertainties. Do not "
        "quote the significance of a cut that you choose here: it is optimised on the test events."
    )
    marks = [
        [{"threshold": cut.threshold, "text": cut.description} for cut in cuts] for cuts in result.quoted
    ]
    yield Explorer(
        {
            **result.to_metrics(),
            "marks": marks,
            "classes": list(result.class_names),
            "colours": colours(len(result.class_names)),
            "yields": result.yields_are,
        }
    )


CUTS = Study(
    name="cuts",
    title="Explore a cut",
    result=CutsResult,
    compute=compute_cuts,
    keys=import_keys(f"{__name__}.keys"),
    metrics=CutsResult.to_metrics,
    section=section,
)

"""How many events pass a cut on a score?

For a fine grid of cuts the study counts the expected events of each class, with efficiencies, purity and significance.
"""

from __future__ import annotations

from collections.abc import Iterator

from tamis.blocks import Block, Explorer, Text
from tamis.studies.cuts.result import VALIDATION_CUT, CutsResult, compute_cuts
from tamis.studies.study import Study, import_keys


def section(result: CutsResult) -> Iterator[Block]:
    """Return the blocks of the section."""
    from tamis.plots.style import colours  # with matplotlib, which takes long to import

    if not result.tables:
        return
    events = (
        "all events but those that chose the cut and the bins (validation events of other networks)"
        if result.cross_trained
        else "the test events"
    )
    yield Text(
        "Move the threshold: events with at least this score pass. As in the section Discovery significance, these are "
        f"{events}, and each class ({result.yields_are}) is scaled to its sum of weights in all used events. This "
        "changes the shares of the backgrounds: efficiencies and rejections differ a little from those of the section "
        "Performance, which has all test events with their own weights. The button "
        f"\N{LEFT DOUBLE QUOTATION MARK}{VALIDATION_CUT}\N{RIGHT DOUBLE QUOTATION MARK} goes to the cut with the "
        "largest significance on validation events. If no simulated background passes a cut, limits at 95% CL are "
        "shown. The significance includes the statistical uncertainty of the simulated backgrounds and the "
        "configured systematic uncertainties. Do not quote the significance of a cut that you choose here: it is "
        "optimised on the test events."
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

"""What charts have in common."""

from __future__ import annotations

import altair as alt
import jsonschema
import pytest

from bitspec.report.charts.style import unchecked


def test_only_the_building_of_a_chart_goes_unchecked() -> None:
    @unchecked
    def wrong() -> alt.Chart:
        chart: alt.Chart = alt.Chart().mark_point().encode(x=alt.X("x:Q", axis=alt.Axis(titel="x")))
        return chart

    chart = wrong()
    with pytest.raises(jsonschema.ValidationError, match="titel"):
        chart.to_dict()
    with pytest.raises(jsonschema.ValidationError, match="titel"):
        alt.Axis(titel="x")

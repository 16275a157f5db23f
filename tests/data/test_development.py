"""Which pairs recipes are settled on."""

import pytest

from cycada.data.development import pair_kind, selection


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        ("rendered_digits", "optdigits", "development"),
        ("streets", "streets", "development"),
        ("streets", "camvid", "evaluation"),
        ("mnist", "usps", "evaluation"),
        ("folder", "folder", "evaluation"),
    ],
)
def test_drawn_pairs_are_for_development(source, target, kind):
    assert pair_kind(source, target) == kind
    assert selection(source, target) == f"last step; {kind} pair"

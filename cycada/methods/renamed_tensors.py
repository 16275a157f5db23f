"""Names that tensors of a step had in version 0.1, for losses of a user's own that still ask for them."""

from __future__ import annotations

import re

RENAMED = (
    (r"source_(logits|output)_(\w+)", r"f_s_\1_\2"),
    (r"logits_((?:real|fake|mixed|augmented|masked)\w*)", r"f_t_logits_\1"),
    (r"score_(real|fake|pooled)_([st])", r"d_\2_logits_\1"),
    (r"score_(real|fake)_pair", r"d_pair_logits_\1"),
    (r"score_(pooled_)?joint_([st])", r"d_pair_logits_\1joint_\2"),
    (r"score_gradient_([st])", r"d_\1_gradient"),
    (r"critic_input_(source|target)", r"discriminator_input_\1"),
    (r"(?:(reversed)_)?critic_(source|target)", r"domain_logits_\1_\2"),
    (r"pasted", "classmix_mask"),
)
"""Patterns of the earlier names, and the present ones."""


def present_name(name: str) -> str | None:
    """Return the present name of a tensor, or None if `name` is no earlier one."""
    for pattern, present in RENAMED:
        if match := re.fullmatch(pattern, name):
            return re.sub("__+", "_", match.expand(present))
    return None

"""What registries say of entries."""

from collections import Counter, OrderedDict

import pytest

from cycada.core.errors import CycadaError
from cycada.core.registry import Registry


def test_two_entries_of_one_name_are_named_with_their_modules():
    registry = Registry("loss")
    registry.add("mine", OrderedDict)
    with pytest.raises(CycadaError, match=r"collections\.OrderedDict and collections\.Counter\. Rename one"):
        registry.add("mine", Counter)

"""What an exported file says of itself."""

from cycada.inference.export_format import Exported


def about(architecture, **over):
    """What an export says of its weights."""
    return Exported(
        **{
            "architecture": architecture,
            "channels": 3,
            "size": (256, 256),
            "window": (256, 256),
            "multiple_of": 4,
            "resize": "bilinear",
            "direction": "st",
            "role": "g_st",
            "source": "a",
            "target": "b",
            "run": "0",
            "experiment": "e",
            "stage": "s",
            "method": "cyclegan",
            "seed": 0,
            "steps": 1,
            "plugins": (),
            "versions": {},
        }
        | over
    )

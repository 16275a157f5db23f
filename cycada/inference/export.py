"""Export of a trained network from its run, with all that is needed to use it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from torch import nn

from cycada.config.schema import Config, Spec
from cycada.core.errors import CycadaError, shown
from cycada.core.files import bytes_digest, prepare_folder, write_text
from cycada.core.progress import Progress
from cycada.core.versions import environment
from cycada.evaluation.target_statistics import refuse_target_statistics
from cycada.inference.export_format import (
    CARD,
    CONFIG,
    ONNX,
    PT2,
    Exported,
    Role,
    read_export,
    write_weights,
)
from cycada.inference.loading import (
    ROLES,
    build_preprocess,
    class_names,
    find_main_role,
    mask_values_of,
    predicts_masks,
)
from cycada.inference.model_card import data_name, make_model_card
from cycada.inference.portable import write_onnx, write_program
from cycada.inference.translator import translation
from cycada.methods import Direction
from cycada.planning.plan import StagePlan
from cycada.runs.reuse import find_stage, load_stage, trained_networks
from cycada.storage.exports import WEIGHTS, is_export, weights_file
from cycada.storage.loading import trained_network
from cycada.storage.store import RunFolder
from cycada.train.device import Device

NOT_KEPT = ("weights", "pretrained")
"""Options of an architecture that say where weights come from: an export brings its own."""
NEW_CARD = "README.new.md"
"""The model card where README.md was edited."""
SEAL = "<!-- cycada export "
"""Beginning of a card's last line, a digest of the rest by which an edited card is known."""


def export(
    run: Path | str,
    out: Path | str,
    direction: Direction | None = None,
    onnx: bool = False,
    results: Path | str = "results",
    *,
    network: Role | None = None,
    torch_export: bool = False,
) -> tuple[Path, ...]:
    """Export a network from a run into a folder, in the layout of the Hugging Face Hub.

    The folder receives model.safetensors, config.json, README.md (a model card) and, if asked for, model.onnx
    and model.pt2. `load_model`, `cycada predict` and `cycada translate` take this folder, or the .safetensors
    file alone; `cycada.HubModel` uploads it. An earlier export of the same network is replaced, with its
    model.onnx and model.pt2; a README.md that was edited is kept, and the new card is README.new.md.

    Args:
        run: A run folder, the beginning of a run's id, or the name of an experiment.
        out: The folder to write to.
        direction: The earlier way to name a generator: `st` is `network="g_st"`, `ts` is `network="g_ts"`.
        onnx: Write the network as ONNX, too, and compare its outputs with torch's.
        results: The folder of the runs.
        network: `f_t`, `g_st` or `g_ts`; the default is what the stage is for.
        torch_export: Write the network as a program of torch.export, too, and compare its outputs.

    Returns:
        The files that were written.

    Raises:
        CycadaError: The run does not have this network, its stage translates without a generator, `out` holds
            another network or an edited README.new.md, or the packages for ONNX are missing.
    """
    role = _role(network, direction)
    folder, out = find_stage(run, results, role), Path(out)
    config, stage = load_stage(folder)
    role = role or find_main_role(stage)
    net = _network(folder, config, stage, role)
    about = _about(folder, config, stage, role, net)
    _check_free(out, about)
    prepare_folder(out)
    write_weights(out, net, about)
    read_export(out)  # what cannot be read back is no export
    formats = ((ONNX, onnx, write_onnx), (PT2, torch_export, write_program))
    # one that lies there from before may hold other weights
    any_size = {
        name: write(net, about, out / name)
        for name, wanted, write in formats
        if wanted or (out / name).exists()
    }
    cards = _write_card(out, make_model_card(about, folder, any_size))
    return tuple(out / name for name in (WEIGHTS, CONFIG, *cards, *any_size))


def _write_card(out: Path, text: str) -> tuple[str, ...]:
    """Write the model card, beside one that was edited, and return the names of the files that were written.

    Nothing is written where the edited card came from the same text.
    """
    card, new, content = out / CARD, out / NEW_CARD, _sealed(text)
    new.unlink(missing_ok=True)
    if not _is_edited(card):
        write_text(card, content)
        return (CARD,)
    if content.removeprefix(text) in _read(card):
        return ()
    write_text(new, content)
    Progress(quiet=True).warn(
        f"{card}: it was edited, or comes from an earlier version, and is kept. The new model card is {new}."
    )
    return (NEW_CARD,)


def _sealed(text: str) -> str:
    """Return the text of a card with its last line."""
    return f"{text}{SEAL}{bytes_digest(text.encode())} -->\n"


def _is_edited(card: Path) -> bool:
    """Return whether a card is there and not as `cycada export` has written it."""
    return card.exists() and (content := _read(card)) != _sealed(content.rpartition(SEAL)[0])


def _read(card: Path) -> str:
    return card.read_text(encoding="utf-8", errors="replace")


def _role(network: Role | None, direction: Direction | None) -> Role | None:
    """Return the network that the two arguments name.

    Raises:
        CycadaError: They contradict each other, or there is no such network.
    """
    names = {network, {None: None, "st": "g_st", "ts": "g_ts"}.get(direction, direction)} - {None}
    if len(names) > 1:
        raise CycadaError(
            f"network: found {network} and the direction '{direction}', expected one of the two."
        )
    for name in names:
        if name not in ROLES:
            raise CycadaError(f"network: found {shown(name)}, expected one of {', '.join(ROLES)}.")
        return name
    return None


def _network(folder: RunFolder, config: Config, stage: StagePlan, role: Role) -> nn.Module:
    """Return the trained network of a role, on the CPU and in eval mode.

    Raises:
        CycadaError: The stage does not have it.
    """
    if role == "f_t":
        if role not in stage.specs:
            raise CycadaError(
                f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) has no f_t, only "
                f"{', '.join(stage.specs)}. Name another network with --network, or another stage."
            )
        return trained_network(folder, config, stage, role, len(class_names(folder)[0])).eval()
    net = translation(folder, config, stage, "st" if role == "g_st" else "ts", Device.find("cpu"))
    if not isinstance(net, nn.Module):
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) translates by a search and not by a "
            "generator; only generators can be exported."
        )
    return net


def _about(folder: RunFolder, config: Config, stage: StagePlan, role: Role, net: nn.Module) -> Exported:
    """Return the description of a network."""
    spec, data = stage.specs[role], config.data
    kept = {name: value for name, value in spec.options.items() if name not in NOT_KEPT}
    about = Exported(
        architecture=Spec(name=spec.name, **kept).model_dump(),
        channels=data.channels,
        size=config.shapes(stage.stage)["source" if role == "g_st" else "target"],
        window=config.window(stage.stage),
        multiple_of=int(getattr(net, "multiple_of", 1)),
        resize=data.resize,
        role=role,
        source=data_name(data.source),
        target=data_name(data.target),
        run=folder.id,
        experiment=config.name,
        stage=stage.name,
        method=stage.stage.method,
        seed=config.seed,
        steps=stage.stage.steps,
        plugins=tuple(config.plugins),
        versions={name: v for name, v in environment().items() if name in ("cycada", "torch", "git")},
        precision=stage.stage.precision,
    )
    if role == "f_t":
        refuse_target_statistics(stage)
    else:
        return replace(about, direction="st" if role == "g_st" else "ts")
    classes, palette = class_names(folder)
    read, segmentation = build_preprocess(config, stage), predicts_masks(config)
    nets = trained_networks(folder, config, stage, len(classes), Device.find("cpu"))
    multiple = math.lcm(*(int(getattr(module, "multiple_of", 1)) for module in nets.modules()))
    return replace(
        about,
        classes=classes,
        segmentation=segmentation,
        palette=palette,
        mask_values=mask_values_of(config, classes) if segmentation else (),
        fit=read.fit,
        upright=read.upright,
        evaluation={**stage.evaluation.augmentation(), "multiple_of": multiple},
    )


def _check_free(out: Path, about: Exported) -> None:
    """Raise CycadaError where a folder is none, or holds another network."""
    if out.is_file():
        raise CycadaError(f"{out}: this is a file, expected a folder for the network.")
    if (out / "manifest.json").exists():
        raise CycadaError(f"{out}: this is the folder of a run, expected one for the network alone.")
    if out.is_dir() and is_export(out):
        other = read_export(out)[1]
        if (other.run, other.role) != (about.run, about.role):
            raise CycadaError(
                f"{out}: this folder already holds {other.role} of run {other.run}. "
                "Choose another folder, or remove it."
            )
        if weights_file(out).name != WEIGHTS:
            raise CycadaError(
                f"{out}: this folder holds an export of an earlier version, {weights_file(out).name}. "
                "Choose another folder, or remove it."
            )
        if _is_edited(out / NEW_CARD):
            raise CycadaError(
                f"{out / NEW_CARD}: it was edited, and a new model card would replace it. Rename it, such as "
                f"to {CARD}."
            )
        return
    if taken := [name for name in (WEIGHTS, CONFIG, CARD, NEW_CARD, ONNX, PT2) if (out / name).exists()]:
        raise CycadaError(
            f"{out / taken[0]}: this file was not written by cycada export. Choose another folder, or remove "
            "it."
        )

"""The command `cycada style`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cycada.cli.completion import run_ids
from cycada.cli.options import Results
from cycada.cli.values import COUNT, NON_NEGATIVE, PATH, SEED
from cycada.core.errors import CycadaError

Losses = Mapping[str, float]


class Network(StrEnum):
    """The networks whose features describe content and style."""

    vgg19 = "vgg19"
    vgg16 = "vgg16"


class Optimizer(StrEnum):
    """The optimizers of the pixels."""

    lbfgs = "lbfgs"
    adam = "adam"


class Start(StrEnum):
    """The pictures that the optimisation may start from."""

    content = "content"
    noise = "noise"


def style(
    content: Annotated[
        Path, typer.Argument(metavar="CONTENT", parser=PATH, help="The picture that gives the content.")
    ],
    style: Annotated[
        Path, typer.Argument(metavar="STYLE", parser=PATH, help="The picture that gives the style.")
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", parser=PATH, help="The picture to write, .png or .jpg.")
    ],
    weights: Annotated[
        Path | None,
        typer.Option(
            parser=PATH, help="The weights of torchvision's VGG, a state dict as .pth or .safetensors."
        ),
    ] = None,
    network: Annotated[Network, typer.Option(help="The network of these weights.")] = Network.vgg19,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Let torchvision download the weights.")
    ] = False,
    run: Annotated[
        str | None,
        typer.Option(autocompletion=run_ids, help="A finished stage whose task network replaces VGG."),
    ] = None,
    role: Annotated[str, typer.Option(help="The role of the network in --run.")] = "f_t",
    content_layer: Annotated[
        str | None, typer.Option(help="The layer that describes the content. [default for VGG: relu4_2]")
    ] = None,
    style_layers: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="The layers that describe the style. "
            "[default for VGG: relu1_1,relu2_1,relu3_1,relu4_1,relu5_1]",
        ),
    ] = None,
    content_weight: Annotated[
        float,
        typer.Option(
            parser=NON_NEGATIVE, help="The weight of the content; a larger one gives less of the style."
        ),
    ] = 1e-3,
    style_weight: Annotated[float, typer.Option(parser=NON_NEGATIVE, help="The weight of the style.")] = 1.0,
    total_variation: Annotated[
        float,
        typer.Option(
            parser=NON_NEGATIVE,
            help="The weight of the total variation, which removes grain; 0 in the paper.",
        ),
    ] = 0.0,
    size: Annotated[
        int, typer.Option(min=16, max=4096, help="The longer side of the result, in pixels.")
    ] = 512,
    style_size: Annotated[
        int | None,
        typer.Option(
            min=16,
            max=4096,
            help="The longer side of the style picture, in pixels. [default: that of --size]",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(parser=COUNT, help="The number of optimisation steps.")] = 500,
    optimizer: Annotated[
        Optimizer, typer.Option(help="The optimizer: lbfgs as in the paper, or adam.")
    ] = Optimizer.lbfgs,
    start: Annotated[
        Start, typer.Option(help="The picture to start from: the content, or noise as in the paper.")
    ] = Start.content,
    seed: Annotated[int, typer.Option(parser=SEED, help="The seed of the noise.")] = 0,
    device: Annotated[str, typer.Option(help="The device: auto, cpu or cuda.")] = "auto",
    results: Results = Path("results"),
) -> None:
    """Give one picture the style of another, by optimising its pixels (Gatys et al. 2016)."""
    from cycada.core.interrupt import Interrupted, stop_on_signal
    from cycada.core.progress import Progress
    from cycada.data.doubts import group_doubts
    from cycada.data.picture import picture_doubts
    from cycada.style import networks, pictures
    from cycada.style.layers import usual_layers
    from cycada.style.transfer import CONTENT, STYLE, Weights, stylize
    from cycada.train.device import Device

    if run and (weights or pretrained):
        beside = "--weights" if weights else "--pretrained"
        raise CycadaError(f"--run: found {beside} beside it, expected one network: a run's, or VGG.")
    pictures.check_out(out)
    content_picture = pictures.read(content, size)
    style_picture = pictures.read(style, style_size or size)
    for doubt in group_doubts({str(path): picture_doubts(path) for path in (content, style)}):
        Progress().warn(doubt)
    layers_of_style = _names(style_layers) if style_layers else list(STYLE)
    layer_of_content = content_layer or CONTENT
    torch_device = Device.find(device).torch_device
    if run:
        net = networks.of_run(run, role, results).to(torch_device)
        if not (content_layer and style_layers):
            usual = usual_layers(net.eval(), content_picture.to(torch_device))
            layer_of_content = content_layer or usual[0]
            layers_of_style = layers_of_style if style_layers else usual[1]
    else:
        net = networks.vgg(
            network.value,
            weights,
            pretrained,
            [layer_of_content, *layers_of_style],
            min(*content_picture.shape[2:], *style_picture.shape[2:]),
        ).to(torch_device)
    with stop_on_signal(enabled=True) as stopped, progress(steps) as bar:
        taken = 0

        def report(step: int, losses: Losses) -> bool:
            nonlocal taken
            taken = step
            bar(step, losses)
            return stopped.is_set()

        image = stylize(
            content_picture.to(torch_device),
            style_picture.to(torch_device),
            net,
            content_layer=layer_of_content,
            style_layers=layers_of_style,
            weights=Weights(content_weight, style_weight, total_variation),
            steps=steps,
            optimizer=optimizer.value,
            start=start.value,
            seed=seed,
            report=report,
        )
    pictures.write(out, image)
    if stopped.is_set() and taken < steps:
        raise Interrupted(f"Stopped after step {taken} of {steps}; {out} holds the picture at that step.")
    print(
        f"{out}: {image.shape[-1]} x {image.shape[-2]} pixels after {taken} steps. Content: "
        f"{layer_of_content}. Style: {', '.join(layers_of_style)}."
    )


def _names(layers: str) -> list[str]:
    """Return the layers that a list names, each once: a layer that is named twice has no other weight."""
    return list(dict.fromkeys(name for layer in layers.split(",") if (name := layer.strip())))


@contextmanager
def progress(steps: int) -> Iterator[Callable[[int, Losses], None]]:
    """Show the progress on stderr: a bar with the losses on a terminal, ten lines elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)

    def words(losses: Losses) -> str:
        return "  ".join(f"{name} {value:.4g}" for name, value in losses.items())

    if not console.is_terminal:
        every = max(1, steps // 10)

        def line(step: int, losses: Losses) -> None:
            if step % every == 0 or step == steps:
                console.print(f"step {step} of {steps}: {words(losses)}", markup=False)

        yield line
        return
    columns = (
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("style", total=steps, losses="")
        yield lambda step, losses: bar.update(task, completed=step, losses=words(losses))

"""`cycada style CONTENT STYLE OUT`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cycada.cli.values import COUNT, NON_NEGATIVE, PATH, SEED

Losses = Mapping[str, float]


class Network(StrEnum):
    vgg19 = "vgg19"
    vgg16 = "vgg16"


class Optimizer(StrEnum):
    lbfgs = "lbfgs"
    adam = "adam"


class Start(StrEnum):
    content = "content"
    noise = "noise"


def style(
    content: Annotated[
        Path, typer.Argument(metavar="CONTENT", parser=PATH, help="The picture that shows what.")
    ],
    style: Annotated[Path, typer.Argument(metavar="STYLE", parser=PATH, help="The picture that shows how.")],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", parser=PATH, help="The picture to write, .png or .jpg.")
    ],
    weights: Annotated[
        Path | None,
        typer.Option(parser=PATH, help="A state dict of torchvision's network, .pth or .safetensors."),
    ] = None,
    network: Annotated[Network, typer.Option(help="Whose weights these are.")] = Network.vgg19,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Let torchvision download the weights.")
    ] = False,
    run: Annotated[
        str | None,
        typer.Option(help="A finished stage whose task network is looked with, in the place of VGG."),
    ] = None,
    role: Annotated[str, typer.Option(help="Which network of --run.")] = "f_t",
    content_layer: Annotated[str | None, typer.Option(help="relu4_2 of VGG.")] = None,
    style_layers: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="relu1_1,relu2_1,relu3_1,relu4_1,relu5_1 of VGG.")
    ] = None,
    content_weight: Annotated[
        float, typer.Option(parser=NON_NEGATIVE, help="The more, the less of the style.")
    ] = 1e-3,
    style_weight: Annotated[float, typer.Option(parser=NON_NEGATIVE)] = 1.0,
    total_variation: Annotated[
        float, typer.Option(parser=NON_NEGATIVE, help="Takes away grain; 0 in the paper.")
    ] = 0.0,
    size: Annotated[
        int, typer.Option(min=16, max=4096, help="Pixels along the longer side of the result.")
    ] = 512,
    style_size: Annotated[
        int | None, typer.Option(min=16, max=4096, help="Of the style picture; the same where not given.")
    ] = None,
    steps: Annotated[int, typer.Option(parser=COUNT)] = 500,
    optimizer: Annotated[Optimizer, typer.Option(help="lbfgs as in the paper, or adam.")] = Optimizer.lbfgs,
    start: Annotated[
        Start, typer.Option(help="The picture to start from; noise in the paper.")
    ] = Start.content,
    seed: Annotated[int, typer.Option(parser=SEED, help="Of the noise.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    results: Annotated[Path, typer.Option(parser=PATH, help="Where runs are.")] = Path("results"),
) -> None:
    """Give one picture the style of another by optimising its pixels (Gatys et al. 2016), with VGG or a run's task network."""
    from cycada.core.interrupt import Interrupted, stop_on_signal
    from cycada.core.progress import Progress
    from cycada.data.doubts import grouped
    from cycada.data.picture import picture_doubts
    from cycada.style import networks, pictures
    from cycada.style.layers import usual_layers
    from cycada.style.transfer import CONTENT, STYLE, Weights, stylize
    from cycada.train.device import Device

    pictures.check_out(out)
    shown, look = pictures.read(content, size), pictures.read(style, style_size or size)
    for doubt in grouped({str(path): picture_doubts(path) for path in (content, style)}):
        Progress().warn(doubt)
    of_style = style_layers.split(",") if style_layers else list(STYLE)
    of_content = content_layer or CONTENT
    where = Device.find(device).torch_device
    if run:
        net = networks.of_run(run, role, results).to(where)
        if not (content_layer and style_layers):
            usual = usual_layers(net.eval(), shown.to(where))
            of_content, of_style = content_layer or usual[0], of_style if style_layers else usual[1]
    else:
        net = networks.vgg(
            network.value,
            weights,
            pretrained,
            [of_content, *of_style],
            min(*shown.shape[2:], *look.shape[2:]),
        ).to(where)
    with stop_on_signal(enabled=True) as stopped, progress(steps) as bar:
        taken = 0

        def report(step: int, losses: Losses) -> bool:
            nonlocal taken
            taken = step
            bar(step, losses)
            return stopped.is_set()

        image = stylize(
            shown.to(where), look.to(where), net, content_layer=of_content, style_layers=of_style,
            weights=Weights(content_weight, style_weight, total_variation), steps=steps, optimizer=optimizer.value,
            start=start.value, seed=seed, report=report,
        )  # fmt: skip
    pictures.write(out, image)
    if stopped.is_set() and taken < steps:
        raise Interrupted(f"Stopped after step {taken} of {steps}; {out} holds what was there.")
    print(
        f"{out}: {image.shape[-1]} x {image.shape[-2]} pixels after {taken} steps. Content: {of_content}. Style: {', '.join(of_style)}."
    )


@contextmanager
def progress(steps: int) -> Iterator[Callable[[int, Losses], None]]:
    """A bar with the losses on a terminal, ten lines elsewhere; both on stderr."""
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

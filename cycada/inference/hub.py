"""An exported network as a model of the Hugging Face Hub: save_pretrained, from_pretrained, push_to_hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, PyTorchModelHubMixin
from safetensors.torch import load_file
from torch import Tensor, nn

from cycada.inference.export_format import CARD, Exported, build_untrained, parse_description, write_weights
from cycada.planning.build import load_weights


class HubModel(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="cycada",
    tags=["domain-adaptation"],
    license="other",
    license_name="see-the-data",
):
    """An exported network with its description, which goes to the Hugging Face Hub and comes from there.

    `HubModel.from_pretrained("user/name")` loads one, `push_to_hub("user/name")` uploads it; both take a
    folder, too. `cycada.load_model(model)` returns what reads pictures.

    Args:
        config: The description, or the content of config.json.
        net: The trained network; without it, a new one of the described architecture.
        card: The model card; without it, a short one is written.

    Attributes:
        about: The description.
        net: The plain network.

    Raises:
        CycadaError: The description is not that of an exported network.
    """

    def __init__(
        self, config: Exported | Mapping[str, Any], net: nn.Module | None = None, card: str = ""
    ) -> None:
        super().__init__()
        self.about = config if isinstance(config, Exported) else parse_description(config, "config.json")
        self._hub_mixin_config = self.about
        self.net = build_untrained(self.about, "config.json") if net is None else net
        self.card = card

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores, or the translations, of images (N, C, H, W) in [-1, 1]."""
        output = self.net(images)
        result: Tensor = output if self.about.translates else output.logits
        return result

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """Return the model card of the export, or the mixin's short one where it is not known."""
        return ModelCard(self.card) if self.card else super().generate_model_card(*args, **kwargs)

    def _save_pretrained(self, save_directory: Path) -> None:
        write_weights(save_directory, self.net, self.about)

    @classmethod
    def _load_as_safetensor(cls, model: Any, model_file: str, map_location: str, strict: bool) -> Any:
        """Load all weights, of which none may be missing or left over; the mixin would allow both."""
        load_weights(model.net, load_file(model_file), model_file)
        card = Path(model_file).with_name(CARD)
        model.card = card.read_text(encoding="utf-8") if card.exists() else ""
        return model.to(map_location).eval()

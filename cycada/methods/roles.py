"""The networks of a stage by role, and what a network of each role takes and returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from cycada.core.types import Output
from cycada.networks import ClassShares, FeatureQueue, PairDiscriminatorOutput

FEATURE_QUEUE = "pool_features"
"""Role of the queue of the teacher's features and probabilities of earlier target images."""
CLASS_SHARES = "pool_shares"
"""Role of the shares of the classes in both domains."""
TEACHER = "f_teacher"
"""Role of the exponential moving average of f_t, in methods that use it; it is never trained itself."""

if TYPE_CHECKING:
    # No network inherits from these classes: any module may be given any role. They tell a type checker what
    # the call of a role returns, which for a plain `nn.Module` is Any.

    class TaskNetwork(nn.Module):
        """A classifier or a segmenter."""

        def __call__(self, images: Tensor) -> Output:
            """Return features and logits of images (N, C, H, W)."""

    class TensorNetwork(nn.Module):
        """A network from one tensor to another: a generator, a discriminator, an image pool or a head."""

        def __call__(self, tensor: Tensor) -> Tensor:
            """Return a tensor of as many images or feature vectors."""

    class PairGenerator(nn.Module):
        """CoGAN's coupled generators, from noise to an image of each domain."""

        shape: tuple[int, int]

        def __call__(self, noise: Tensor) -> tuple[Tensor, Tensor]:
            """Return an image of the source and one of the target for each noise vector."""

    class PairDiscriminator(nn.Module):
        """CoGAN's coupled discriminators, with a class head where images have classes."""

        classes: nn.Module | None

        def __call__(self, images: Tensor, side: Literal["s", "t"]) -> PairDiscriminatorOutput:
            """Return score, features and logits of images of one domain."""

    class PatchHeads(nn.Module):
        """CUT's projection heads."""

        def __call__(self, maps: Sequence[Tensor], places: Sequence[Tensor]) -> Tensor:
            """Return the encoded patches, (layers, N, S, D)."""


class Networks(nn.Module):
    """Networks of a stage by role: `nets.g_st`, `nets.f_t`, `nets.pool_t`, ...

    A stage has some of the roles below, and a plug-in may add roles of its own.

    Args:
        roles: Role -> network.
    """

    f_s: TaskNetwork
    f_t: TaskNetwork
    f_teacher: TaskNetwork
    head_t: TensorNetwork
    g_st: TensorNetwork
    g_ts: TensorNetwork
    d_s: TensorNetwork
    d_t: TensorNetwork
    d_pair: TensorNetwork
    d_feat: TensorNetwork
    pool_s: TensorNetwork
    pool_t: TensorNetwork
    pool_joint_s: TensorNetwork
    pool_joint_t: TensorNetwork
    pool_features: FeatureQueue
    pool_shares: ClassShares
    pair_g: PairGenerator
    pair_d: PairDiscriminator
    h_st: PatchHeads

    def __init__(self, roles: dict[str, nn.Module]) -> None:
        super().__init__()
        for role, net in roles.items():
            self.add_module(role, net)

    if TYPE_CHECKING:

        def __getattr__(self, role: str) -> Any:
            """Return the network of a plug-in's own role."""

    def __contains__(self, role: str) -> bool:
        return role in self._modules

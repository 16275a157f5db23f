"""StepTensors, the class of the tensors of one training step, each computed on first use and at most once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Iterable
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Generic, Self

import torch
from torch import Tensor
from typing_extensions import TypeVar

from cycada.core.errors import CycadaError, shown
from cycada.core.types import Batch, full_precision
from cycada.methods.dependencies import direct_dependencies, function_behind, mangled
from cycada.methods.roles import Networks
from cycada.networks import HEAD, NETWORKS, kind_of


class kept_detached(cached_property[Tensor]):  # noqa: N801 (used as a decorator, like cached_property)
    """Cached property whose value later phases of the same step see again as a constant.

    They get the same values without the graph, so that no gradient reaches the networks that computed them.
    """


def option(
    default: Any,
    *,
    segmentation_default: Any = None,
    image_labels_only: bool = False,
    omit_default_from_id: bool = False,
) -> Any:
    """Declare a field of `Options` with metadata.

    Args:
        default: Value where YAML gives none.
        segmentation_default: Default for segmentation experiments, if it differs.
        image_labels_only: Refuse the option in segmentation experiments.
        omit_default_from_id: Leave the option out of the stage id while it has its default. For options that
            were added after stages had been trained without them: the default means what those stages did, so
            that their ids stay valid.
    """
    return field(
        default=default,
        metadata={
            "segmentation_default": segmentation_default,
            "image_labels_only": image_labels_only,
            "omit_default_from_id": omit_default_from_id,
        },
    )


@dataclass(frozen=True)
class Options:
    """Options of a method that YAML may set, beyond losses and networks; subclasses add fields."""

    def identity(self) -> dict[str, Any]:
        """Return the options that enter a stage's id, as plain values.

        These are all but those that are declared with `omit_default_from_id` and have their defaults.
        """
        kept = [
            f.name
            for f in fields(self)
            if not (f.metadata.get("omit_default_from_id") and getattr(self, f.name) == f.default)
        ]
        return {name: value for name, value in asdict(self).items() if name in kept}

    def without_effect(self) -> dict[str, str]:
        """Return the options that have no effect because of the other options, each with the reason."""
        return {}

    def unused_roles(self) -> frozenset[str]:
        """Return the roles that these options switch off; they are not built."""
        return frozenset()

    @classmethod
    def segmentation_defaults(cls) -> dict[str, Any]:
        """Return the defaults that differ for segmentation experiments."""
        return {
            f.name: value
            for f in fields(cls)
            if (value := f.metadata.get("segmentation_default")) is not None
        }


OptionsT = TypeVar("OptionsT", bound=Options, default=Options)
"""The class of a method's options."""


def local_mean(value: Tensor) -> Tensor:
    """Return the value itself: the mean over all processes where there is only one."""
    return value


class StepTensors(Generic[OptionsT]):
    """Tensors of one training step, each computed on first use and at most once.

    A subclass adds one `cached_property` for each tensor. Its name is the name of the parameter by which
    losses ask for it. It reaches networks as `self.nets.ROLE` and other tensors as `self.NAME`; both are read
    from the source (cycada.methods.dependencies), so that a stage builds only the networks that its losses
    need. `StepTensors[MyOptions]` says what `self.options` is.

    Attributes:
        nets: The networks of the stage by role.
        batch: The data of the step.
        options: The method's options.
        average: The mean of a scalar over all processes, for gates: every process has to decide alike.
        progress: The fraction of the stage's steps that are done, in [0, 1).
        needs_pixel_labels: Tensors that exist only where every pixel has a label.
        needs_image_labels: Tensors that exist only where the whole image has one label.
        takes_image_pairs: Roles whose networks see two images, concatenated along the channels.
        feature_extractors: Frozen roles of which only the features are used, so that pretrained weights are
            enough.
    """

    needs_pixel_labels: ClassVar[frozenset[str]] = frozenset()
    needs_image_labels: ClassVar[frozenset[str]] = frozenset()
    takes_image_pairs: ClassVar[frozenset[str]] = frozenset()
    feature_extractors: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        nets: Networks,
        batch: Batch,
        options: OptionsT,
        average: Callable[[Tensor], Tensor] = local_mean,
        progress: float = 0.0,
    ) -> None:
        self.nets, self.batch, self.options = nets, batch, options
        self.average, self.progress = average, progress

    @classmethod
    def before_first_step(cls, nets: Networks, options: OptionsT, tensors_of: Callable[[int], Self]) -> None:
        """Prepare what the stage stores, such as a queue, before its first step; here nothing is.

        It is called once, without gradients, and not when a stage is resumed.

        Args:
            nets: The networks of the stage.
            options: The stage's options.
            tensors_of: Function from a number k >= 0 to the tensors of the k-th batch after those of the
                stage's steps, at progress 0 and with images that are not augmented.
        """

    @property
    def real_s(self) -> Tensor:
        """Source images, (N, C, H, W) in [-1, 1]."""
        return self.batch.real_s

    @property
    def label_s(self) -> Tensor:
        """Source labels, (N,) int64, or (N, H, W) for segmentation."""
        return self.batch.label_s

    @property
    def real_t(self) -> Tensor:
        """Target images, (N, C, H, W) in [-1, 1]."""
        return self.batch.real_t

    @property
    def pair_t(self) -> Tensor:
        """The true translations of real_s, (N, C, H, W) in [-1, 1]; only paired data have them."""
        assert self.batch.pair_t is not None  # the plan refuses other data where a loss needs it
        return self.batch.pair_t

    def detached(self, but: Iterable[str] = ()) -> Self:
        """Return the tensors for the next phase: those declared with `kept_detached` stay, as constants.

        All others are computed anew when they are needed.

        Args:
            but: Names of tensors that are not kept either.
        """
        after = type(self)(self.nets, self.batch, self.options, self.average, self.progress)
        for name, value in vars(self).items():
            if isinstance(getattr(type(self), name, None), kept_detached) and name not in but:
                after.__dict__[name] = value.detach()
        return after

    def invalidated_by(self, roles: Iterable[str], before: Container[str]) -> set[str]:
        """Return the tensors computed since `before` that change when the networks of these roles change.

        Args:
            roles: Roles whose networks have been trained.
            before: Names of the tensors that had been computed before.
        """
        return {name for name in vars(self) if name not in before and self.roles_of([name]) & set(roles)}

    def is_cached(self, name: str) -> bool:
        """Tell whether a tensor is available without a forward pass."""
        return name in vars(self) or name in ("real_s", "label_s", "real_t")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all tensors that a loss may ask for."""
        kinds = (cached_property, property)
        return tuple(name for name, value in inspect.getmembers(cls) if isinstance(value, kinds))

    @classmethod
    def dependencies(cls, names: Iterable[str]) -> set[str]:
        """Return every tensor and every role that may be touched when these tensors are computed.

        They are read from the source of the class, so that no list has to be kept
        (cycada.methods.dependencies).

        Args:
            names: Names of tensors.

        Raises:
            CycadaError: The source of one of them does not show which networks it needs. The message says
                what to do.
        """
        tensors, roles, _ = cls._reach(tuple(names))
        return set(tensors | roles)

    @classmethod
    def roles_of(cls, names: Iterable[str]) -> set[str]:
        """Return the roles whose networks may run for these tensors; a stage builds no others.

        Args:
            names: Names of tensors.

        Raises:
            CycadaError: See `dependencies`; or a tensor uses a role of a kind that does not exist.
        """
        return set(cls._reach(tuple(names))[1])

    @classmethod
    def options_of(cls, names: Iterable[str]) -> set[str] | None:
        """Return the options that may be used when these tensors are computed.

        Args:
            names: Names of tensors.

        Returns:
            The options' names; None where the source of one of the tensors does not show them.

        Raises:
            CycadaError: See `dependencies`.
        """
        options = cls._reach(tuple(names))[2]
        return None if options is None else set(options)

    @classmethod
    @lru_cache(maxsize=4096)
    def _reach(cls, names: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str], frozenset[str] | None]:
        """Return the tensors, roles and options that these tensors use, directly or through others.

        Sweeps ask for the same ones thousands of times.
        """
        todo = [
            (name, 0) for name in names
        ]  # a name, and where in the method resolution order it is looked up
        seen: set[tuple[str, int]] = set()
        tensors: set[str] = set()
        roles: set[str] = set()
        options: set[str] = set()
        shows_options = True
        while todo:
            name, start = todo.pop()
            if (name, start) in seen:
                continue
            seen.add((name, start))
            tensors.add(name)
            place = next((i for i, c in enumerate(cls.__mro__) if i >= start and name in vars(c)), None)
            function = None if place is None else function_behind(vars(cls.__mro__[place])[name])
            if place is None or function is None:
                continue
            direct = direct_dependencies(function)
            declared_roles = {n for n in direct.declared if not hasattr(cls, n)}
            for role in direct.roles | declared_roles:
                if "_" not in role or kind_of(role) not in (*NETWORKS, HEAD, "pool"):
                    raise CycadaError(
                        f"{function.__qualname__}: it uses self.nets.{role}, and {shown(role)} is no role. "
                        f"A role begins with its kind and has an underscore: f_t, g_st, d_t, pool_t, ..."
                    )
            roles |= direct.roles | declared_roles
            tensors |= direct.batch
            options |= direct.options
            shows_options &= not direct.hands_on_options
            owner = cls.__mro__[place]
            todo += [(mangled(n, owner), 0) for n in direct.attributes | (direct.declared - declared_roles)]
            todo += [(mangled(n, owner), place + 1) for n in direct.inherited]
        return frozenset(tensors), frozenset(roles), frozenset(options) if shows_options else None


def discriminator_gradient(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Return the gradient of a discriminator's output at random points between real and fake images.

    It is what the gradient penalty of WGAN-GP measures (Wasserstein GAN with gradient penalty, Gulrajani et
    al. 2017, eq. 3). The output of a discriminator of patches is the sum over its patches, as in the CycleGAN
    release, while the critic's loss is their mean.

    Args:
        discriminator: The discriminator.
        real: Real images, (N, C, H, W).
        fake: Generated images of the same shape.

    Returns:
        (N, C, H, W), differentiable with respect to the discriminator's weights.
    """
    share = torch.rand(len(real), 1, 1, 1).to(real.device)
    between = (share * real + (1 - share) * fake).float().detach().requires_grad_(True)
    with full_precision(real):
        return torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)[0]

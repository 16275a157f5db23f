"""Which networks and tensors a tensor of a step needs is read from its source: exactly, or an error says what
to declare."""

import functools
import importlib
from functools import cached_property, partialmethod

import pytest
import torch

from cycada.core.errors import CycadaError
from cycada.methods import StepTensors, depends_on, methods
from cycada.methods.cycada import PixelTensors, translation_of
from cycada.methods.cyclegan import CycleGANTensors
from cycada.methods.renamed_tensors import present_name


def helper(*arguments):
    return arguments


def roles(tensors, name="asked"):
    return tensors.roles_of([name])


def test_a_role_is_what_is_asked_of_the_networks():
    class Tensors(StepTensors):
        @cached_property
        def asked(self):
            return self.nets.f_t(self.real_t).logits + self.nets.g_st.encode(self.real_s)[0]

    assert roles(Tensors) == {"f_t", "g_st"}
    assert Tensors.dependencies(["asked"]) == {"asked", "f_t", "g_st", "real_s", "real_t"}


def test_what_looks_like_a_role_and_is_none():
    class Tensors(StepTensors):
        @cached_property
        def asked(self):
            x = self.real_s
            g_st, d_t = self.options.g_scale, x.head_dim
            return helper(x.h_flip(), g_st, d_t, self.average(x), "f_t", f_s=x)

    assert roles(Tensors) == set()


def test_a_chain_of_tensors_and_methods_is_followed():
    class Tensors(StepTensors):
        @cached_property
        def asked(self):
            return self._mixed(self.middle)

        @property
        def middle(self):
            return self.nets.pool_t(self.real_t)

        def _mixed(self, images):
            return self.nets.d_feat(images)

    assert roles(Tensors) == {"pool_t", "d_feat"}
    assert roles(Tensors, "middle") == {"pool_t"}


def test_lambdas_comprehensions_and_nested_functions_belong_to_their_tensor():
    class Tensors(StepTensors):
        @cached_property
        def asked(self):
            def nested(images, scale=self.nets.g_ts):
                return self.nets.f_s(images), scale

            return [helper(lambda x: self.nets.f_t(x, 1)) for x in nested(self.nets.pool_s(self.real_s))]

        @cached_property
        def another_self(self):
            return helper(lambda self: self.nets.f_t(self), self.real_s)

    assert roles(Tensors) == {"g_ts", "f_s", "f_t", "pool_s"}
    assert roles(Tensors, "another_self") == set()


def test_properties_may_be_lambdas_even_two_in_a_line():
    class Tensors(StepTensors):
        first, second = (
            cached_property(lambda self: self.nets.f_t(1)),
            property(lambda this: this.nets.f_s(2)),
        )

    assert roles(Tensors, "first") == {"f_t"}
    assert roles(Tensors, "second") == {"f_s"}


def test_a_function_behind_other_decorators_is_found():
    class Tensors(StepTensors):
        @cached_property
        def asked(self):
            return self._frozen(self.real_t), self._one()

        @torch.no_grad()
        def _frozen(self, images):
            return self.nets.f_s(images)

        @functools.cache  # noqa: B019
        def _cached(self, images):
            return self.nets.g_st(images)

        def _which(self, number):
            return number, self.nets.f_t

        _one = partialmethod(_which, 1)

        @staticmethod
        def _plain(nets):
            return nets.g_ts

    assert roles(Tensors) == {"f_s", "f_t"}
    assert roles(Tensors, "_plain") == set()


def test_source_that_begins_at_the_margin_is_read():
    class Tensors(StepTensors):
        @cached_property
        def asked(self):
            return self.nets.f_t("""
a text at the margin
""")

    assert roles(Tensors) == {"f_t"}


def test_inheritance_takes_what_the_class_overrides():
    class Base(StepTensors):
        @cached_property
        def asked(self):
            return self.inner

        @cached_property
        def inner(self):
            return self.nets.f_s(self.real_s)

    class Other(Base):
        @cached_property
        def inner(self):
            return self.nets.f_t(self.real_s)

    assert roles(Base) == {"f_s"}
    assert roles(Other) == {"f_t"}


def test_super_is_what_it_is_in_python():
    class Base(StepTensors):
        @cached_property
        def asked(self):
            return self.nets.f_s(self.real_s)

    class Left(Base):
        @property
        def asked(self):
            return self.nets.g_st(super().asked)

    class Right(Base):
        @property
        def asked(self):
            return self.nets.g_ts(super(Right, self).asked)  # noqa: UP008

    class Both(Left, Right):
        @property
        def asked(self):
            return super().asked

    assert roles(Left) == {"g_st", "f_s"}
    assert roles(Both) == {"g_st", "g_ts", "f_s"}


def test_private_names_are_those_of_their_class():
    class Base(StepTensors):
        @cached_property
        def asked(self):
            return self.__inner()

        def __inner(self):
            return self.nets.f_s

    class Other(Base):
        def __inner(self):
            return self.nets.f_t

    assert roles(Other) == {"f_s"}


def test_the_batch_counts_and_its_translation_asks_for_no_generator():
    class Tensors(PixelTensors):
        @cached_property
        def asked(self):
            return self.batch.real_t

        @cached_property
        def stored(self):
            return self.batch.fake_t

    assert Tensors.dependencies(["asked"]) == {"asked", "real_t"}
    assert Tensors.roles_of(["stored"]) == set()
    assert Tensors.roles_of(["fake_t"]) == {"g_st"}


def test_asking_whether_a_network_is_there_runs_none():
    class Tensors(StepTensors):
        @cached_property
        def asked(self):
            return self.nets.f_t if "g_st" in self.nets else vars(self) and isinstance(self, StepTensors)

    assert roles(Tensors) == {"f_t"}


class HandedOn(StepTensors):
    """Tensors that hide which networks they use."""

    @cached_property
    def to_a_helper(self):
        return helper(self.nets)

    @cached_property
    def by_name(self):
        return getattr(self.nets, "f_t")  # noqa: B009

    @cached_property
    def to_a_name(self):
        nets = self.nets
        return nets.f_t

    @cached_property
    def by_key(self):
        return self.nets["f_t"]

    @cached_property
    def by_an_attribute(self):
        return getattr(self, "nets")  # noqa: B009

    @cached_property
    def in_a_lambda(self):
        return [lambda: helper(self.nets)]

    @cached_property
    def itself(self):
        return helper(self)

    @cached_property
    def the_batch(self):
        return helper(self.batch)

    @cached_property
    def behind(self):
        return self.to_a_helper

    @cached_property
    def any_attribute(self):
        return getattr(self, self.options.name)


@pytest.mark.parametrize("name", [n for n in vars(HandedOn) if not n.startswith("__")])
def test_networks_that_are_handed_on_as_a_whole_ask_for_a_declaration(name):
    place = "to_a_helper" if name == "behind" else name
    with pytest.raises(CycadaError, match=rf"HandedOn\.{place} \(.*line \d+\).*as a whole.*depends_on"):
        HandedOn.roles_of([name])


def test_a_declaration_is_added_to_what_the_source_shows():
    class Tensors(CycleGANTensors):
        @cached_property
        @depends_on("f_t", "fake_s")
        def asked(self):
            return helper(self.nets, self.real_s)

    assert Tensors.dependencies(["asked"]) == {"asked", "f_t", "fake_s", "g_ts", "real_t", "real_s"}
    assert roles(Tensors) == {"f_t", "g_ts"}


def test_a_getattr_with_a_name_is_an_attribute():
    class Tensors(CycleGANTensors):
        @cached_property
        def asked(self):
            return getattr(self, "fake_t", self.nets.f_t)

    assert roles(Tensors) == {"g_st", "f_t"}


def test_options_are_read_from_the_source():
    class Tensors(StepTensors):
        @cached_property
        def plain(self):
            return self.options.gate + self.below

        @cached_property
        def below(self):
            o = self.options
            return o.pool * getattr(self.options, "scale", 1)

        @cached_property
        def handed_on(self):
            return helper(self.options)

        @cached_property
        def renamed_and_handed_on(self):
            o = self.options
            return helper(o)

        @cached_property
        @depends_on("f_t")
        def whole(self):
            return helper(self)

    assert Tensors.options_of(["plain"]) == {"gate", "pool", "scale"}
    assert Tensors.options_of(["below", "real_s"]) == {"pool", "scale"}
    for name in ("handed_on", "renamed_and_handed_on", "whole"):
        assert Tensors.options_of([name]) is None


def test_a_network_alone_may_be_handed_on():
    class Tensors(StepTensors):
        @cached_property
        def asked(self):
            return translation_of(self.options, self.nets.g_st)(self.real_s)

    assert roles(Tensors) == {"g_st"}


@pytest.mark.parametrize("role", ["generator", "q_t", "modules"])
def test_a_role_of_no_kind_is_named(role):
    class Tensors(StepTensors):
        @cached_property
        @depends_on(role)
        def asked(self):
            return 1

    with pytest.raises(CycadaError, match=rf"asked: .*'{role}' is no role"):
        roles(Tensors)


INTERACTIVE = """
from functools import cached_property
from cycada.methods import StepTensors, depends_on

class Tensors(StepTensors):
    @cached_property
    def silent(self):
        return self.nets.f_t(self.real_t)

    @cached_property
    @depends_on("f_t", "real_t")
    def declared(self):
        return self.nets.f_t(self.real_t)
"""


def test_a_class_whose_source_is_nowhere_asks_for_a_declaration():
    scope = {"__name__": "typed"}
    exec(INTERACTIVE, scope)
    with pytest.raises(CycadaError, match=r"Tensors\.silent: its source cannot be read.*depends_on"):
        roles(scope["Tensors"], "silent")
    assert scope["Tensors"].dependencies(["declared"]) == {"declared", "f_t", "real_t"}


def test_a_plug_in_in_a_file_is_read(tmp_path, monkeypatch):
    (tmp_path / "typed_methods.py").write_text(INTERACTIVE)
    monkeypatch.syspath_prepend(tmp_path)
    tensors = importlib.import_module("typed_methods").Tensors
    assert tensors.roles_of(["silent"]) == tensors.roles_of(["declared"]) == {"f_t"}


def test_every_tensor_of_every_method_is_read():
    for method in methods.values():
        for name in method.tensors.names():
            method.tensors.roles_of([name])
    assert methods["cycada"].tensors.roles_of(["semantic_gate"]) == {"f_s"}
    assert methods["cut"].tensors.roles_of(["query_idt_t"]) == {"g_st", "h_st"}
    assert methods["self_training"].tensors.roles_of(["label_mixed"]) == {"f_teacher", "pool_features"}


@pytest.mark.parametrize(
    ("earlier", "present"),
    [
        ("source_logits_real_t", "f_s_logits_real_t"),
        ("logits_fake_t", "f_t_logits_fake_t"),
        ("score_fake_t", "d_t_logits_fake"),
        ("critic_target", "domain_logits_target"),
        ("reversed_critic_source", "domain_logits_reversed_source"),
        ("fake_t", None),
    ],
)
def test_earlier_names_of_tensors_lead_to_the_present_ones(earlier, present):
    assert present_name(earlier) == present
    assert present is None or any(present in method.tensors.names() for method in methods.values())

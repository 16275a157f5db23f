"""Reader of a function's source, which tells what networks and other tensors of a step the function uses.

A stage builds only the networks that its losses need. Nobody keeps a list of them: `self.nets.f_t` in the
source of a tensor says that the tensor needs the role f_t, and `self.fake_t` that it needs whatever the
tensor fake_t needs. Where the source cannot say it, `depends_on` does.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partialmethod
from types import CodeType, FunctionType
from typing import TypeVar

from cycada.core.errors import CycadaError

Function = TypeVar("Function", bound=Callable[..., object])


def depends_on(*names: str) -> Callable[[Function], Function]:
    """Declare the roles and the tensors that a function uses, where its own source does not show them.

    The decorator stands directly above the function, below `@cached_property`. The declared names are added
    to what the source shows.

    Example:
        ```python
        @cached_property
        @depends_on("f_t", "real_t")
        def ensemble_logits(self):
            return ensemble(self.nets, self.real_t)
        ```

    Args:
        names: Roles of networks (`"f_t"`) and tensors of the class (`"real_t"`).
    """

    def declare(function: Function) -> Function:
        function.__dict__["depends_on"] = names
        return function

    return declare


@dataclass(frozen=True)
class Dependencies:
    """What one function uses directly; the functions that it calls are not followed.

    Attributes:
        roles: Names in `self.nets.NAME`.
        attributes: Names in `self.NAME`: other tensors, and methods of the class.
        inherited: Names in `super().NAME`.
        batch: Names in `self.batch.NAME`.
        declared: Names given to `depends_on`, each a role or an attribute.
        options: Names in `self.options.NAME`, also where `self.options` has a name of its own.
        hands_on_options: Whether the function uses `self.options` in another way, so that it may use any.
    """

    roles: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    inherited: frozenset[str] = frozenset()
    batch: frozenset[str] = frozenset()
    declared: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()
    hands_on_options: bool = False


def function_behind(attribute: object) -> FunctionType | None:
    """Return the function that computes an attribute of an instance; None if there is none.

    Args:
        attribute: A value of a class's `__dict__`: a property, a cached property, a method, or any other
            value. Static methods and class methods are given no instance, so that they reach no network but
            those that their caller hands to them.
    """
    if isinstance(attribute, property):
        attribute = attribute.fget
    elif isinstance(attribute, (cached_property, partialmethod)):
        attribute = attribute.func
    return inspect.unwrap(attribute) if isinstance(attribute, FunctionType) else None


def mangled(name: str, owner: type) -> str:
    """Return the name under which a class keeps an attribute: `_Owner__name` for the private `__name`."""
    private = name.startswith("__") and not name.endswith("__")
    return f"_{owner.__name__.lstrip('_')}{name}" if private else name


@cache
def direct_dependencies(function: FunctionType) -> Dependencies:
    """Read from the source of a method which roles, tensors and parts of the batch it uses.

    Args:
        function: A function whose first parameter is the instance.

    Raises:
        CycadaError: The source cannot be read and nothing is declared, or the function hands on `self`,
            `self.nets` or `self.batch` as a whole and nothing is declared.
    """
    declared = frozenset(function.__dict__.get("depends_on", ()))
    try:
        node = _definition(function.__code__, _source(function))
    except (OSError, TypeError, SyntaxError):
        if declared:
            return Dependencies(declared=declared, hands_on_options=True)
        raise CycadaError(
            f"{function.__qualname__}: its source cannot be read, so that its networks are unknown. "
            'Define the class in a file, or declare above it what it uses: @depends_on("f_t", "real_t").'
        ) from None
    parameters = [*node.args.posonlyargs, *node.args.args]
    if not parameters:  # called without an instance
        return Dependencies(declared=declared)
    reader = _Reader(parameters[0].arg)
    for statement in node.body if isinstance(node.body, list) else [node.body]:
        reader.visit(statement)
    if reader.handed_on and not declared:
        what, line = reader.handed_on[0]
        place = f"{function.__code__.co_filename}, line {line}"
        advice = "Write self.nets.ROLE here" if what == "self.nets" else "Name the attributes here"
        raise CycadaError(
            f"{function.__qualname__} ({place}): it hands on {what} as a whole, so that its networks are "
            f'unknown. {advice}, or declare them above the function: @depends_on("f_t").'
        )
    return Dependencies(
        frozenset(reader.roles),
        frozenset(reader.attributes),
        frozenset(reader.inherited),
        frozenset(reader.batch),
        declared,
        frozenset(reader.options),
        reader.hands_on_options or any(what == "self" for what, _ in reader.handed_on),
    )


def _source(function: FunctionType) -> str:
    """Return the source of the whole file (or notebook cell) that defines the function."""
    return "".join(inspect.findsource(function)[0])


@lru_cache(maxsize=64)
def _functions(source: str) -> tuple[ast.FunctionDef | ast.Lambda, ...]:
    return tuple(n for n in ast.walk(ast.parse(source)) if isinstance(n, (ast.FunctionDef, ast.Lambda)))


def _definition(code: CodeType, source: str) -> ast.FunctionDef | ast.Lambda:
    """Return the node of the syntax tree from which `code` was compiled.

    Raises:
        OSError: There is none: the file has changed since it was imported.
    """
    nodes: list[ast.FunctionDef | ast.Lambda] = []
    for node in _functions(source):
        name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
        decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
        first_line = min(n.lineno for n in (node, *decorators))
        if (name, first_line) == (code.co_name, code.co_firstlineno):
            nodes.append(node)
    if len(nodes) > 1:  # lambdas of one line: the one in which the code's own expressions lie
        columns = [
            column for line, _, column, _ in code.co_positions() if line == code.co_firstlineno and column
        ]
        bodies = ((n, n.body) for n in nodes if isinstance(n, ast.Lambda))
        nodes = [
            n
            for n, body in bodies
            if columns and body.col_offset <= max(columns) < (body.end_col_offset or 0)
        ]
    if len(nodes) != 1:
        raise OSError("the source has changed")
    return nodes[0]


class _Reader(ast.NodeVisitor):
    """Visitor that collects the uses of `self` in one method, with its nested functions and lambdas."""

    PLAIN = ("average", "__class__", "__dict__")
    """Attributes of the instance that hold no network and no tensor of the step."""
    HARMLESS = ("type", "isinstance", "super", "vars", "id")
    """Functions that may be given `self` as a whole: they touch no tensor."""

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self.roles: set[str] = set()
        self.attributes: set[str] = set()
        self.inherited: set[str] = set()
        self.batch: set[str] = set()
        self.options: set[str] = set()
        self.names_of_options: set[str] = set()
        self.hands_on_options = False
        self.handed_on: list[tuple[str, int]] = []

    def _is_instance(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == self.instance

    def _is_part(self, node: ast.expr, name: str) -> bool:
        """Tell whether the node is `self.NAME`."""
        return isinstance(node, ast.Attribute) and node.attr == name and self._is_instance(node.value)

    def _is_options(self, node: ast.expr) -> bool:
        """Tell whether the node is `self.options`, or a local name of it."""
        if isinstance(node, ast.Name):
            return node.id in self.names_of_options
        return self._is_part(node, "options")

    def visit_Assign(self, node: ast.Assign) -> None:
        """Note a local name of the options: `o = self.options`."""
        if self._is_options(node.value) and all(isinstance(target, ast.Name) for target in node.targets):
            self.names_of_options |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        else:
            self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self._is_options(node.value):
            self.options.add(node.attr)
        elif self._is_part(node.value, "nets"):
            self.roles.add(node.attr)
        elif self._is_part(node.value, "batch"):
            self.batch.add(node.attr)
        elif self._is_instance(node.value):
            self._visit_own(node.attr, node.lineno)
        elif _called(node.value) == "super":
            self.inherited.add(node.attr)
        else:
            self.visit(node.value)

    def _visit_own(self, name: str, line: int) -> None:
        if name in ("nets", "batch"):
            self.handed_on.append((f"self.{name}", line))
        elif name == "options":
            self.hands_on_options = True
        elif name not in self.PLAIN:
            self.attributes.add(name)

    def visit_Call(self, node: ast.Call) -> None:
        arguments = node.args
        if _called(node) in ("getattr", "hasattr") and len(arguments) > 1:
            name = arguments[1].value if isinstance(arguments[1], ast.Constant) else None
            if isinstance(name, str) and self._is_instance(arguments[0]):
                self._visit_own(name, node.lineno)
                arguments = arguments[2:]
            elif isinstance(name, str) and self._is_options(arguments[0]):
                self.options.add(name)
                arguments = arguments[2:]
        elif _called(node) in self.HARMLESS:
            arguments = [a for a in arguments if not self._is_instance(a)]
        for part in (node.func, *arguments, *node.keywords):
            self.visit(part)

    def visit_Compare(self, node: ast.Compare) -> None:
        """Pass over `"g_st" in self.nets`: it asks whether a network is there and runs none."""
        self.visit(node.left)
        for operator, operand in zip(node.ops, node.comparators, strict=True):
            if not (isinstance(operator, (ast.In, ast.NotIn)) and self._is_part(operand, "nets")):
                self.visit(operand)

    def visit_Name(self, node: ast.Name) -> None:
        if self._is_instance(node):
            self.handed_on.append(("self", node.lineno))
        elif self._is_options(node):
            self.hands_on_options = True

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_nested(node.args, node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_nested(node.args, [node.body])

    def _visit_nested(self, arguments: ast.arguments, body: list[ast.stmt] | list[ast.expr]) -> None:
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self.visit(default)
        own = [
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            arguments.vararg,
            arguments.kwarg,
        ]
        if self.instance not in [
            argument.arg for argument in own if argument
        ]:  # else it means another object
            for statement in body:
                self.visit(statement)


def _called(node: ast.expr) -> str | None:
    """Return the plain name of the function that an expression calls; None if it calls none."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None

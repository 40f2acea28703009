"""A setting is one field: its flag, its variable, its key and its default are made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from vault.cli.program import program
from vault.cli.setting_options import assembled, setting_options, settings_by_key
from vault.errors import InvalidArgumentError
from vault.store.setting import check_settings, choice, seconds, switch, units, whole
from vault_server import AccessSettings, ServerSettings, StoreOptions
from vault_server.cli.process import Serving
from vault_server.cli.serve import serve


@dataclass(frozen=True, kw_only=True)
class Inner:
    patience: float | None = seconds(5.0, "How long.", optional=True)
    hidden: int = whole(3, least=1, most=9)


@dataclass(frozen=True, kw_only=True)
class Outer:
    place: Path
    inner: Inner
    most: int | None = whole(None, "How many.", least=1, most=9)
    color: str = choice("red", ("red", "blue"))
    loud: bool = switch("Say more.")
    accepted: tuple[str, ...] = units("Accept it.")

    def __post_init__(self) -> None:
        check_settings(self)


def made(*arguments: str, env: Mapping[str, str] | None = None) -> Outer:
    """What a command makes of its command line."""
    seen: list[Outer] = []

    @click.command(context_settings={"auto_envvar_prefix": "APP"})
    @setting_options(Outer)
    def command(**values: Any) -> None:
        seen.append(assembled(Outer, values, place=Path()))

    result = CliRunner().invoke(command, arguments, env=env, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return seen[0]


def test_without_flags_it_is_what_the_dataclass_is_without_arguments() -> None:
    assert made() == Outer(place=Path(), inner=Inner())


def test_each_field_that_a_command_has_is_a_flag_a_variable_and_a_key() -> None:
    expected = Outer(place=Path(), inner=Inner(patience=7), most=2, color="blue", loud=True, accepted=("a", "b"))
    assert made("--patience=7", "--most=2", "--color=blue", "--loud", "--unit=a", "--unit=b") == expected
    variables = {"PATIENCE": "7", "MOST": "2", "COLOR": "blue", "LOUD": "1", "UNITS": "a b"}
    assert made(env={f"APP_{name}": value for name, value in variables.items()}) == expected
    assert list(settings_by_key(Outer)) == ["patience", "most", "color", "loud", "units"]


def test_zero_stands_for_none_where_none_is_not_the_default() -> None:
    assert made("--patience=0").inner.patience is None
    for refused in ("--most=0", "--patience=-1", "--most=10", "--color=green"):
        with pytest.raises(click.BadParameter):
            made(refused)


@pytest.mark.parametrize(
    "bad", [{"most": 0}, {"color": "green"}, {"loud": "no"}, {"accepted": ["a"]}, {"accepted": ("a b",)}]
)
def test_a_dataclass_refuses_what_its_fields_may_not_be(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Outer(place=Path(), inner=Inner(), **bad)
    assert caught.value.reason in ("BAD_SETTING", "BAD_UNIT")


def serving(*arguments: str) -> Serving:
    context = serve.make_context("serve", ["/store", *arguments], parent=program.make_context("vault-grpc", ["serve"]))
    return assembled(Serving, {**context.params}, directory=context.params["directory"])


def test_serve_has_the_defaults_of_its_dataclasses() -> None:
    expected = Serving(directory=Path("/store"), store=StoreOptions(), server=ServerSettings(), access=AccessSettings())
    assert serving() == expected
    assert serving("--max-connection-age=0").server == replace(expected.server, max_connection_age=None)


def test_serve_has_a_flag_for_every_setting_that_says_what_it_does() -> None:
    names = {f"--{key.replace('_', '-')}" for key in settings_by_key(Serving)} - {"--units"}
    assert names < {name for parameter in serve.params for name in parameter.opts}
    assert {"retention", "max_streams", "units"} < set(settings_by_key(Serving))
    assert not {"keepalive", "share_port", "inline_limit"} & set(settings_by_key(Serving))


def test_no_name_of_a_setting_means_two_things() -> None:
    shared = {each.name for each in fields(StoreOptions)} & {each.name for each in fields(ServerSettings)}
    assert shared == {"allowed_units", "group_access"}  # which `serve` gives to both


@pytest.mark.parametrize("slip", ["RETENSION", "RESUME_WINDOWS", "DURABILTY"])
def test_a_variable_with_a_slip_is_refused_with_the_one_that_was_meant(slip: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(program, ["serve", str(tmp_path / "s")], env={f"VAULT_GRPC_SERVE_{slip}": "1"})
    assert result.exit_code == 2
    assert f"unknown variable 'VAULT_GRPC_SERVE_{slip}' (did you mean 'VAULT_GRPC_SERVE_" in result.output
    assert not (tmp_path / "s").exists()


def test_variables_that_an_orchestrator_sets_for_a_service_of_that_name_are_no_slips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def served(*_: object) -> None: ...

    monkeypatch.setattr("vault_server.cli.serve.serve_until_signal", served)
    names = ["PORT", "SERVICE_HOST", "SERVICE_PORT", "PORT_50051_TCP", "PORT_50051_TCP_ADDR", "PORT_50051_TCP_PROTO"]
    result = CliRunner().invoke(
        program, ["serve", str(tmp_path)], env={f"VAULT_GRPC_SERVE_{name}": "tcp://10.0.0.1:50051" for name in names}
    )
    assert result.exit_code == 0, result.output

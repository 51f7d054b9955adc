"""`fcgraph currencies …`: list currencies, add one, change one."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fcgraph import settings
from fcgraph.cli.output import Json
from fcgraph.cli.stack import join_stack

# Commands import what they need, so that `--help` is fast.
if TYPE_CHECKING:
    from fcgraph.reference.currencies import Currency

app = typer.Typer(help="Currencies: their decimals, and when a payment is suspicious.", no_args_is_help=True)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List every currency.

    Example: python -m fcgraph currencies list
    """
    join_stack()
    from fcgraph import intake
    from fcgraph.reference.currencies import currencies

    found = currencies(intake.engine_of(settings.current(), "cli"))
    if as_json:
        typer.echo(json.dumps({"currencies": [_shown(currency) for currency in found]}))
        return
    for currency in found:
        typer.echo(_text(currency))


@app.command()
def save(
    code: Annotated[str, typer.Argument(help="Three letters, such as JPY.")],
    name: Annotated[str, typer.Option(help="Its name.")],
    minor_units: Annotated[int, typer.Option(help="Decimals of an amount, 0 to 4.")],
    suspicious_above: Annotated[str, typer.Option(help="A payment above this is suspicious.")],
    symbol: Annotated[str | None, typer.Option(help="Its symbol.")] = None,
    as_json: Json = False,
) -> None:
    """Add a currency, or change the one with this code. It applies to new payments at once.

    Stored payments do not change. Rejected payments in a new currency can be replayed.

    Example: python -m fcgraph currencies save JPY --name "Japanese Yen" --symbol ¥ --minor-units 0
    --suspicious-above 1000000
    """
    threshold = _decimal(suspicious_above)
    join_stack()
    from fcgraph import intake
    from fcgraph.reference.currencies import save_currency

    saved = save_currency(
        intake.engine_of(settings.current(), "cli"),
        code,
        name=name,
        symbol=symbol,
        minor_units=minor_units,
        suspicious_above=threshold,
    )
    typer.echo(json.dumps(_shown(saved)) if as_json else _text(saved))


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as e:
        raise typer.BadParameter("must be a number such as 10000", param_hint="--suspicious-above") from e


def _shown(currency: Currency) -> dict[str, Any]:
    return currency._asdict() | {"suspicious_above": str(currency.suspicious_above)}


def _text(currency: Currency) -> str:
    symbol = f" ({currency.symbol})" if currency.symbol else ""
    return (
        f"{currency.code}  {currency.name}{symbol}: {currency.minor_units} decimals, suspicious above"
        f" {currency.suspicious_above:,}"
    )

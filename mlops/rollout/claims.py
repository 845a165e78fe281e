"""Who has an endpoint's split, and which aliases the registry is to have: rows of a move's own transaction."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mlops.rollout.table import ALIASES, CLAIMS, AliasOperation
from mlops.rollout.traffic import CHAMPION

TOKEN_BYTES: Final = 16


def claim(connection: sa.Connection, endpoint: str, model: str, holder: str, versions: Sequence[str]) -> bool:
    """Take an endpoint's split, or say anew which versions one needs; False where somebody else has it."""
    taken = (CLAIMS.c.endpoint == endpoint) | (CLAIMS.c.model == model)
    rows = connection.execute(sa.select(CLAIMS.c.endpoint, CLAIMS.c.holder).where(taken).with_for_update()).all()
    if any((row.endpoint, row.holder) != (endpoint, holder) for row in rows):
        return False
    values = {"endpoint": endpoint, "model": model, "holder": holder, "versions": list(versions)}
    if rows:
        connection.execute(sa.update(CLAIMS).where(CLAIMS.c.endpoint == endpoint).values(values))
        return True
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return bool(connection.execute(insert(CLAIMS).values(values).on_conflict_do_nothing()).rowcount)


def free(connection: sa.Connection, endpoint: str, holder: str) -> None:
    """Give a split back; nothing happens where somebody else has it."""
    connection.execute(sa.delete(CLAIMS).where(CLAIMS.c.endpoint == endpoint, CLAIMS.c.holder == holder))


def wish(connection: sa.Connection, model: str, wished: Mapping[str, str | None], now: float) -> None:
    """Note what aliases are to name, instead of what was wished before."""
    for alias, version in wished.items():
        connection.execute(sa.delete(ALIASES).where(ALIASES.c.model == model, ALIASES.c.alias == alias))
        values = {
            "model": model,
            "alias": alias,
            "version": version,
            "token": secrets.token_hex(TOKEN_BYTES),
            "created": now,
        }
        connection.execute(sa.insert(ALIASES).values(values))


def wishes_left(connection: sa.Connection) -> Sequence[AliasOperation]:
    """Return the aliases that the registry does not have yet, the oldest wish first."""
    columns = (ALIASES.c.model, ALIASES.c.alias, ALIASES.c.version, ALIASES.c.token)
    return [
        AliasOperation(*row)
        for row in connection.execute(sa.select(*columns).order_by(ALIASES.c.created, ALIASES.c.alias))
    ]


def fulfilled(connection: sa.Connection, operation: AliasOperation) -> None:
    """Forget a wish that was carried out; a newer one for the same alias stays."""
    same = (ALIASES.c.model == operation.model, ALIASES.c.alias == operation.alias)
    connection.execute(sa.delete(ALIASES).where(*same, ALIASES.c.token == operation.token))


def is_settled(connection: sa.Connection, model: str) -> bool:
    """Whether nobody holds the model's split, and its registered champion is what it is to be."""
    claimed = sa.select(CLAIMS.c.holder).where(CLAIMS.c.model == model)
    waits = sa.select(ALIASES.c.token).where(ALIASES.c.model == model, ALIASES.c.alias == CHAMPION)
    return connection.execute(claimed).first() is None and connection.execute(waits).first() is None

"""Earning rules and policies in all their versions, and the compiled sets that payments are judged by.

A set is known by its edition, which is new with every change and never comes again. So what was compiled for an edition
holds for ever, in this process and for every database, and a transaction only has to read which edition is current.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from chassis.ids import new_id
from sqlalchemy import Row, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.earning import NO_RULES, RuleSet
from member.domain.earning_rule import (
    Amount,
    AsStated,
    Caps,
    Conditions,
    EarningPolicy,
    EarningRule,
    Fixed,
    Multiplier,
    Rate,
    Rounding,
    RuleId,
    RuleVersion,
    Stacking,
    Trigger,
)
from member.domain.kinds import EarnClass
from member.domain.program import ProgramId, TierId
from member.store.earning_tables import earning_editions, earning_policies, earning_rules

_MOST_KEPT = 200
_COMPILED: dict[str, RuleSet] = {}

_TENURE_PROGRAMS = text("""
    SELECT program_id, min(acts_from) AS acts_from,
        array_agg(DISTINCT CAST(document #>> '{conditions,every_years}' AS integer)) AS every_years
    FROM earning_rules WHERE trigger = 'tenure' GROUP BY program_id ORDER BY program_id
""")

# One statement, hence one snapshot: rules of another edition than the one they are kept under would never be corrected.
_SETS = text("""
    SELECT edition.program_id, edition.edition,
        ARRAY(SELECT to_jsonb(rule) FROM earning_rules AS rule
              WHERE rule.program_id = edition.program_id ORDER BY rule.rule_id, rule.version) AS rules,
        ARRAY(SELECT to_jsonb(policy) FROM earning_policies AS policy
              WHERE policy.program_id = edition.program_id ORDER BY policy.version) AS policies
    FROM earning_editions AS edition WHERE edition.program_id = ANY(CAST(:programs AS text[]))
""")


class TenureProgram(NamedTuple):
    """A program with rules for anniversaries: since when, and for every how many years."""

    program_id: ProgramId
    acts_from: datetime
    every_years: frozenset[int]


async def tenure_programs(connection: AsyncConnection) -> list[TenureProgram]:
    """The programs that have or had rules for anniversaries."""
    found = await connection.execute(_TENURE_PROGRAMS)
    return [TenureProgram(ProgramId(row.program_id), row.acts_from, frozenset(row.every_years)) for row in found]


async def rule_sets(connection: AsyncConnection, programs: Collection[ProgramId]) -> dict[ProgramId, RuleSet]:
    """The rules of each program; one without rules has an empty set."""
    if not programs:
        return {}
    wanted = select(earning_editions.c.program_id, earning_editions.c.edition)
    found = await connection.execute(wanted.where(earning_editions.c.program_id.in_(programs)))
    current = {ProgramId(row.program_id): str(row.edition) for row in found}
    sets = {program: _COMPILED[edition] for program, edition in current.items() if edition in _COMPILED}
    if missing := current.keys() - sets.keys():
        sets |= await _compile(connection, missing)
    return dict.fromkeys(programs, NO_RULES) | sets


async def begin_edition(connection: AsyncConnection, program_id: ProgramId) -> None:
    """A new edition of the program's rules; whoever else changes them waits until this transaction ends."""
    put = upsert(earning_editions).values(program_id=program_id, edition=new_id())
    await connection.execute(
        put.on_conflict_do_update(index_elements=["program_id"], set_={"edition": put.excluded.edition})
    )


async def find_versions(connection: AsyncConnection, rule_id: RuleId) -> list[RuleVersion]:
    """All versions of a rule, oldest first."""
    found = await connection.execute(
        select(earning_rules).where(earning_rules.c.rule_id == rule_id).order_by(earning_rules.c.version)
    )
    return _with_ends([_version(row) for row in found])


async def count_rules(connection: AsyncConnection, program_id: ProgramId) -> int:
    """How many rules the program has."""
    counted = select(func.count()).where(earning_rules.c.program_id == program_id, earning_rules.c.version == 1)
    return int((await connection.execute(counted)).scalar_one())


async def insert_version(connection: AsyncConnection, version: RuleVersion) -> bool:
    """Write a version of a rule; False where another program has just made a rule of this name."""
    put = (
        upsert(earning_rules)
        .values(
            rule_id=version.rule.rule_id,
            version=version.version,
            program_id=version.rule.program_id,
            trigger=version.rule.trigger.value,
            acts_from=version.acts_from,
            ended=version.ended,
            document=_document(version.rule),
            put_by=version.put_by,
            recorded_at=version.recorded_at,
        )
        .on_conflict_do_nothing()
    )
    return (await connection.execute(put)).rowcount == 1


async def find_policies(connection: AsyncConnection, program_id: ProgramId) -> list[EarningPolicy]:
    """All versions of the program's policy, oldest first."""
    found = await connection.execute(
        select(earning_policies).where(earning_policies.c.program_id == program_id).order_by(earning_policies.c.version)
    )
    return [_policy(row._asdict()) for row in found]


async def insert_policy(connection: AsyncConnection, policy: EarningPolicy, *, recorded_at: datetime) -> None:
    """Write a version of a program's policy."""
    await connection.execute(
        insert(earning_policies).values(
            program_id=policy.program_id,
            version=policy.version,
            acts_from=policy.acts_from,
            currency=policy.currency,
            most_basis_points=policy.most_basis_points,
            put_by=policy.put_by,
            recorded_at=recorded_at,
        )
    )


async def _compile(connection: AsyncConnection, programs: Collection[ProgramId]) -> dict[ProgramId, RuleSet]:
    sets: dict[ProgramId, RuleSet] = {}
    for row in await connection.execute(_SETS, {"programs": list(programs)}):
        by_rule: dict[str, list[RuleVersion]] = {}
        for document in row.rules:
            by_rule.setdefault(document["rule_id"], []).append(_version_from_document(document))
        by_trigger: dict[Trigger, list[RuleVersion]] = {}
        for versions in by_rule.values():
            by_trigger.setdefault(versions[0].rule.trigger, []).extend(_with_ends(versions))
        policies = [_policy(document) for document in row.policies]
        if len(_COMPILED) >= _MOST_KEPT:
            _COMPILED.clear()
        _COMPILED[row.edition] = sets[ProgramId(row.program_id)] = RuleSet(row.edition, by_trigger, policies)
    return sets


def _with_ends(versions: list[RuleVersion]) -> list[RuleVersion]:
    """Each version acts until the next one does."""
    ends = [version.acts_from for version in versions[1:]]
    acting = [replace(version, acts_to=end) for version, end in zip(versions[:-1], ends, strict=True)]
    return acting + versions[-1:]


def _version(row: Row[Any]) -> RuleVersion:
    return RuleVersion(
        _rule(row.rule_id, row.program_id, row.document),
        row.version,
        row.acts_from,
        acts_to=None,
        ended=row.ended,
        put_by=row.put_by,
        recorded_at=row.recorded_at,
    )


def _version_from_document(row: dict[str, Any]) -> RuleVersion:
    return RuleVersion(
        _rule(row["rule_id"], row["program_id"], row["document"]),
        row["version"],
        _instant(row["acts_from"]),
        acts_to=None,
        ended=row["ended"],
        put_by=row["put_by"],
        recorded_at=_instant(row["recorded_at"]),
    )


def _policy(row: dict[str, Any]) -> EarningPolicy:
    acts_from = row["acts_from"]
    return EarningPolicy(
        ProgramId(row["program_id"]),
        _instant(acts_from) if isinstance(acts_from, str) else acts_from,
        currency=row["currency"],
        most_basis_points=row["most_basis_points"],
        version=row["version"],
        put_by=row["put_by"],
    )


def _instant(written: str) -> datetime:
    return datetime.fromisoformat(written).astimezone(UTC)


def _document(rule: EarningRule) -> dict[str, Any]:
    where = rule.conditions
    return {
        "display_name": rule.display_name,
        "earn_class": rule.earn_class.value,
        "trigger": rule.trigger.value,
        "amount": _amount_document(rule.amount),
        "conditions": {
            "tiers": where.tiers,
            "products": where.products,
            "product_families": where.product_families,
            "channels": where.channels,
            "subjects": where.subjects,
            "days_of_week": where.days_of_week,
            "from_hour": where.from_hour,
            "to_hour": where.to_hour,
            "minimum_minor": where.minimum_minor,
            "every_years": where.every_years,
            "valid_from": where.valid_from.isoformat() if where.valid_from else None,
            "valid_to": where.valid_to.isoformat() if where.valid_to else None,
        },
        "caps": {
            "member_day": rule.caps.member_day,
            "member_month": rule.caps.member_month,
            "total": rule.caps.total,
        },
        "cooling_days": rule.cooling_days,
        "lifetime_days": rule.lifetime_days,
        "campaign_id": rule.campaign_id,
    }


def _rule(rule_id: str, program_id: str, document: dict[str, Any]) -> EarningRule:
    return EarningRule(
        RuleId(rule_id),
        ProgramId(program_id),
        document["display_name"],
        EarnClass(document["earn_class"]),
        Trigger(document["trigger"]),
        _amount(document["amount"]),
        conditions=_conditions(document["conditions"]),
        caps=Caps(**document["caps"]),
        cooling_days=document["cooling_days"],
        lifetime_days=document["lifetime_days"],
        campaign_id=document["campaign_id"],
    )


def _conditions(document: dict[str, Any]) -> Conditions:
    lists = {name: tuple(value) for name, value in document.items() if isinstance(value, list)}
    values = document | lists | {"tiers": tuple(TierId(tier) for tier in document["tiers"])}
    instants = {name: _instant(values[name]) for name in ("valid_from", "valid_to") if values[name]}
    return Conditions(**(values | instants))


def _amount_document(amount: Amount) -> dict[str, Any]:
    match amount:
        case Rate(points, rounding):
            return {"rate": points, "rounding": rounding.value}
        case Multiplier(basis_points, stacking):
            return {"multiplier": basis_points, "stacking": stacking.value}
        case Fixed(points):
            return {"fixed": points}
        case AsStated():
            return {"as_stated": True}


def _amount(document: dict[str, Any]) -> Amount:
    match document:
        case {"rate": points, "rounding": rounding}:
            return Rate(points, Rounding(rounding))
        case {"multiplier": basis_points, "stacking": stacking}:
            return Multiplier(basis_points, Stacking(stacking))
        case {"fixed": points}:
            return Fixed(points)
        case _:
            return AsStated()

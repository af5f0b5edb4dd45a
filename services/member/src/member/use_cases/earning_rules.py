"""Administer earning rules: put, list, get, end, set the policy, and say what an occasion would give a member."""

from dataclasses import dataclass, replace
from datetime import datetime

from chassis.calendar import Calendar
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.earning import (
    Considered,
    Earner,
    Occasion,
    Part,
    RuleSet,
    consider,
    cut_to_caps,
    local_time,
    parts_of,
)
from member.domain.earning_rule import (
    MAX_RULES,
    MAX_VERSIONS,
    EarningPolicy,
    EarningRule,
    EarningRuleNotFound,
    RuleActsLater,
    RuleEnded,
    RuleId,
    RuleOfAnotherProgram,
    RuleVersion,
    TooManyRules,
    Trigger,
    check_policy,
    check_rule,
)
from member.domain.membership import Holder, MemberNotFound
from member.domain.program import ProgramId, ProgramNotFound, TierId
from member.store import Connection, earners, earning_caps, members, programs
from member.store import earning_rules as store


@dataclass(frozen=True, slots=True)
class PutRule:
    """Let the rule act as it is said here on everything that happens from `acts_from` on (business time)."""

    rule: EarningRule
    acts_from: datetime
    put_by: str

    def __post_init__(self) -> None:
        check_rule(self.rule)


@dataclass(frozen=True, slots=True)
class EndRule:
    """Let the rule give nothing for what happens from `ends_at` on."""

    rule_id: RuleId
    ends_at: datetime
    put_by: str


@dataclass(frozen=True, slots=True)
class PutPolicy:
    """Let the policy hold from its instant on."""

    policy: EarningPolicy

    def __post_init__(self) -> None:
        check_policy(self.policy)


@dataclass(frozen=True, slots=True)
class RulesAsked:
    """Rules of a program, those of a trigger where one is named; with an instant those in force at it, as they act
    then, and without one all of them, as they were put last."""

    program_id: ProgramId
    trigger: Trigger | None
    in_force_at: datetime | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What an occasion would give a member: the tier held then, every rule looked at, and the parts within caps."""

    tier_id: TierId
    considered: list[Considered]
    parts: list[Part]


async def put_rule(transaction: Transaction, command: PutRule) -> RuleVersion:
    """Put a rule, or a new version of it; the same again changes nothing.

    ProgramNotFound; RuleOfAnotherProgram where the rule began elsewhere or with another trigger; RuleActsLater where a
    version begins at this instant or a later one; TooManyRules.
    """
    rule, connection = command.rule, transaction.connection
    await _begin(transaction, rule.program_id)
    versions = await store.find_versions(connection, rule.rule_id)
    if not versions and await store.count_rules(connection, rule.program_id) >= MAX_RULES:
        raise TooManyRules(MAX_RULES)
    if versions:
        last = versions[-1]
        if (last.rule.program_id, last.rule.trigger) != (rule.program_id, rule.trigger):
            raise RuleOfAnotherProgram(last.rule)
        if last.rule == rule and not last.ended and last.acts_from <= command.acts_from:
            return last
    new = RuleVersion(
        rule,
        0,
        command.acts_from,
        acts_to=None,
        ended=False,
        put_by=command.put_by,
        recorded_at=transaction.recorded_at,
    )
    return await _add(transaction, versions, new)


async def end_rule(transaction: Transaction, command: EndRule) -> RuleVersion:
    """End a rule. EarningRuleNotFound, RuleEnded; RuleActsLater where a version begins at this instant or later."""
    versions = await store.find_versions(transaction.connection, command.rule_id)
    if not versions:
        raise EarningRuleNotFound(command.rule_id)
    await _begin(transaction, versions[-1].rule.program_id)
    versions = await store.find_versions(transaction.connection, command.rule_id)
    if versions[-1].ended:
        raise RuleEnded(command.rule_id)
    end = replace(versions[-1], acts_from=command.ends_at, ended=True, put_by=command.put_by)
    return await _add(transaction, versions, replace(end, recorded_at=transaction.recorded_at))


async def get_rule(connection: Connection, rule_id: RuleId, version: int | None) -> RuleVersion:
    """The rule as it was put last, or a version of it; EarningRuleNotFound."""
    for found in reversed(await store.find_versions(connection, rule_id)):
        if version in (None, found.version):
            return found
    raise EarningRuleNotFound(rule_id)


async def list_rules(connection: Connection, asked: RulesAsked, page: Page) -> list[RuleVersion]:
    """The rules asked for, in the order of their ids, one more than the page holds where there are more."""
    rules = (await store.rule_sets(connection, [asked.program_id]))[asked.program_id]
    shown: list[RuleVersion] = []
    for rule_id, versions in rules.by_rule().items():
        found = _in_force(versions, asked.in_force_at) if asked.in_force_at else versions[-1]
        if found and asked.trigger in (None, found.rule.trigger) and (page.after is None or rule_id > page.after):
            shown.append(found)
    return shown[: page.wanted]


async def put_policy(transaction: Transaction, command: PutPolicy) -> EarningPolicy:
    """Set a program's policy. ProgramNotFound, TooManyRules; RuleActsLater where one begins then or later."""
    policy, connection = command.policy, transaction.connection
    await _begin(transaction, policy.program_id)
    known = await store.find_policies(connection, policy.program_id)
    if known and known[-1].acts_from >= policy.acts_from:
        raise RuleActsLater(known[-1].acts_from)
    if len(known) >= MAX_VERSIONS:
        raise TooManyRules(MAX_VERSIONS)
    numbered = replace(policy, version=len(known) + 1)
    await store.insert_policy(connection, numbered, recorded_at=transaction.recorded_at)
    return numbered


async def get_policy(connection: Connection, program_id: ProgramId, as_of: datetime) -> EarningPolicy:
    """The policy that holds at an instant; ProgramNotFound."""
    if await programs.find_program(connection, program_id) is None:
        raise ProgramNotFound(program_id)
    rules: RuleSet = (await store.rule_sets(connection, [program_id]))[program_id]
    return rules.policy_at(program_id, as_of)


async def preview_occasion(connection: Connection, holder: Holder, occasion: Occasion, calendar: Calendar) -> Preview:
    """What the occasion would give the member as things stand, caps included; MemberNotFound, also where the customer
    was no member at the time."""
    member = await members.find_member(connection, holder)
    then = await earners.tiers_at(connection, [(member.member_id, occasion.occurred_at)]) if member else []
    if member is None or not then:
        raise MemberNotFound(holder)
    timelines = await programs.find_timelines(connection, [member.program_id], since=occasion.occurred_at)
    program = timelines[member.program_id].at(occasion.occurred_at)
    rules = (await store.rule_sets(connection, [member.program_id]))[member.program_id]
    local = local_time(calendar, occasion.occurred_at)
    considered = consider(rules, occasion, Earner(member.member_id, program, program.tier(then[0].tier_id)), local)
    parts = parts_of(considered)
    capped = [part.rule.rule.rule_id for part in parts if part.rule and part.rule.rule.caps]
    given = await earning_caps.read_counters(connection, member.member_id, capped, since=local.month)
    return Preview(then[0].tier_id, considered, cut_to_caps(parts, member.member_id, local, given))


async def _begin(transaction: Transaction, program_id: ProgramId) -> None:
    if await programs.find_program(transaction.connection, program_id) is None:
        raise ProgramNotFound(program_id)
    await store.begin_edition(transaction.connection, program_id)


async def _add(transaction: Transaction, versions: list[RuleVersion], new: RuleVersion) -> RuleVersion:
    if versions and versions[-1].acts_from >= new.acts_from:
        raise RuleActsLater(versions[-1].acts_from)
    if len(versions) >= MAX_VERSIONS:
        raise TooManyRules(MAX_VERSIONS)
    numbered = replace(new, version=len(versions) + 1)
    if not await store.insert_version(transaction.connection, numbered):
        raise RuleOfAnotherProgram(new.rule)
    return numbered


def _in_force(versions: list[RuleVersion], at: datetime) -> RuleVersion | None:
    acting = [each for each in versions if each.acts_from <= at and (each.acts_to is None or at < each.acts_to)]
    return next((each for each in acting if not each.ended), None)

"""Asking a rule in isolation: whatever it does, the answer is a verdict."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, DivisionByZero, InvalidOperation, Overflow, localcontext
from typing import TYPE_CHECKING

from ..domain.names import reason_of
from ..domain.verdict import Action, HeldBack, Outcome, Verdict
from ..errors import UnknownValueError
from .base import Rule
from .context import RuleContext

if TYPE_CHECKING:
    from .guard import Guard


ENGINE_CONTEXT = Context(
    prec=28,
    rounding=ROUND_HALF_EVEN,
    Emin=-999_999,
    Emax=999_999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero, Overflow],
)
"""The decimal context that rules are evaluated under, each under a copy of it, whatever the host's own is.

Its precision is Python's usual one: a rule's own tests see the same quotients, and these fit into a Fact.
"""


def ask(rule: Rule, ctx: RuleContext) -> Verdict:
    """The rule's verdict, signed with its name and reason code; a rule that raises or answers nonsense has failed."""
    with localcontext(ENGINE_CONTEXT):
        try:
            return _openable(signed(_asked(rule, ctx), rule), ctx)
        except Exception:  # not even its name can be trusted
            kind = type(rule)
            claim = f"{kind.__module__}.{kind.__name__} has no usable name or reason code"
            return Verdict(outcome=Outcome.FAILED, claim=claim, rule=kind.__name__)


def _asked(rule: Rule, ctx: RuleContext) -> Verdict:
    try:
        verdict = rule.evaluate(ctx.limited_to(rule.needs))
    except UnknownValueError as unknown:
        return Verdict.not_evaluated("a value that it reads is unknown", missing=unknown.missing)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may raise anything, even SystemExit; the other rules must still decide
        return Verdict.failed(f"{origin(rule)} raised {type(error).__name__}")
    if not isinstance(verdict, Verdict):
        return Verdict.failed(f"{origin(rule)} returned a {type(verdict).__name__}, not a Verdict")
    return verdict


def signed(verdict: Verdict, rule: Rule) -> Verdict:
    """The verdict with the rule's name and reason code, unless it has its own."""
    changes: dict[str, str] = {}
    if verdict.rule is None:
        changes["rule"] = rule.name
    if verdict.reason is None:
        changes["reason"] = getattr(rule, "reason", None) or reason_of(rule.name)
    return verdict.model_copy(update=changes) if changes else verdict


def _openable(verdict: Verdict, ctx: RuleContext) -> Verdict:
    """The verdict, held back if it switches to a pair that may not be opened now or is held already."""
    if verdict.target is None:
        return verdict
    pair = verdict.target.pair
    refusal = "it is the pair that is held" if pair == ctx.position.pair else ctx.targets.refusal(pair)
    if refusal is None:
        return verdict
    held = HeldBack(reason=str(verdict.reason), guard="TargetFilter", why=refusal)
    claim = f"held back, though {verdict.claim}"[:500]
    changes = {"outcome": Outcome.QUIET, "claim": claim, "action": Action.HOLD, "target": None}
    return verdict.model_copy(update={**changes, "held_back": (*verdict.held_back, held)})


def origin(asked: Rule | Guard) -> str:
    """Who wrote it: the module and the name."""
    author = getattr(asked, "function", type(asked))
    return f"{author.__module__}.{asked.name}"

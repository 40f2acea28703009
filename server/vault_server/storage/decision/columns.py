"""The decision on a batch of new objects that nothing is in the way of: all of it at once, by columns. Pure."""

from collections.abc import Sequence
from itertools import repeat

from vault.store.columns import ObjectInfos
from vault.store.values import ChangeKind
from vault.store.write_columns import SmallPuts

from vault_server.storage.decision.group import expiry_after, new_floor, tag_rows
from vault_server.storage.decision.plan import Facts, NewContent, Plan, Retention, Usage
from vault_server.storage.decision.rows import Row, all_signed, pack_tags
from vault_server.storage.decision.writes import Batch, request_hashes


def decide_new(facts: Facts, batch: Batch, clock: int, retention: Retention) -> Plan | None:
    """What `decide` says of the same writes one by one; None: that has to be asked, since one of them is special: what
    it is about is there, was asked for before, has limits, or is named twice."""
    items, unit = batch.items, batch.unit
    names, number = items.names, len(batch)
    if facts.rows or facts.damaged or facts.answers or facts.has_limits:
        return None
    named = number - names.count(None)
    if len(set(items.data_ids)) < number or len(set(items.request_ids)) < number:
        return None
    if named and len(set(names)) < named + (named < number):
        return None
    if isinstance(items, SmallPuts) and set(items.if_generations) - {None, 0}:
        return None
    first = facts.revision + 1
    revision = facts.revision + number
    revisions = range(first, revision + 1)
    now = max(clock, facts.clock)
    expires: Sequence[int | None] = number * (None,)
    if isinstance(items, SmallPuts) and items.expires_in.count(None) < number:
        expires = [expiry_after(now, seconds) for seconds in items.expires_in]
    sizes = [content.size for content in batch.contents]
    tags = [pack_tags(each) for each in items.tags] if any(items.tags) else [None] * number
    units, times, principals = repeat(unit), repeat(now), repeat(batch.principal)
    about = (sizes, all_signed(items.checksums), items.datatypes, names, tags, times, times, times, expires)
    rows = zip(units, items.data_ids, revisions, revisions, *about, principals, revisions)  # noqa: B905  # some of it for ever
    kind = repeat(ChangeKind.UPLOADED.value)
    request = (principals, items.request_ids, request_hashes(batch))
    told = (number * (unit,), items.data_ids, revisions, revisions, sizes, items.checksums, items.datatypes, names)
    moments = number * (now,)
    before = facts.units.get(unit, Usage(unit))
    size = sum(sizes)
    return Plan(
        ObjectInfos((*told, items.tags, moments, moments, moments, expires)),
        facts.revision,
        revision,
        now,
        new_floor(facts, now, retention),
        inserted=list(map(Row._make, rows)),
        tagged=[
            row for data_id, each in zip(items.data_ids, tags, strict=True) for row in tag_rows((unit, data_id), each)
        ]
        if any(tags)
        else [],
        contents=list(map(NewContent, revisions, units, items.data_ids, batch.contents)),
        changes=list(zip(revisions, units, items.data_ids, revisions, *about, kind, times, *request)),  # noqa: B905
        units=[Usage(unit, before.objects + number, before.bytes + size, revision, *before[4:])],
        expires=min((moment for moment in expires if moment is not None), default=None),
        charges=[(batch.principal, number, size)] if batch.principal else [],
    )
